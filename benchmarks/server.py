"""`python -m benchmarks server`: PostgreSQL, with the peers in the same run, on a server of its own that is stopped afterwards."""

from __future__ import annotations

import signal
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import click

from benchmarks.kept import ROUNDS, kept
from benchmarks.peers.catalogue import EVENTS, OWN, QUEUES
from benchmarks.peers.killing import AFTER, HOW_LONG, killed
from benchmarks.peers.measures import SECONDS, Peers
from benchmarks.peers.places import InDatabases
from benchmarks.peers.programs import ENVIRONMENTS, Programs
from benchmarks.services import started, temporary
from penstock.cli import tables
from penstock.cli.bench.command import FULL_DEPTH, chosen, show
from penstock.cli.bench.databases import Databases
from penstock.cli.bench.plan import Plan
from penstock.cli.bench.run import ON_SERVERS, run
from penstock.connect import check_url

COMPARED = ("enqueue", "concurrent", "many", "drain", "two", "latency", "writers")
"""What the peers do too."""


@click.command()
@click.option("--only", metavar="NAME,…", help=f"Some of {', '.join(ON_SERVERS.measures)}.")
@click.option("--rounds", type=click.IntRange(1), default=ROUNDS, show_default=True, help="Figures are medians of so many rounds.")
@click.option("--depth", type=click.IntRange(1_000), default=FULL_DEPTH, show_default=True, help="Jobs that wait when a drain begins.")
@click.option("--store", metavar="URL", help="Another server, where databases are made (and dropped afterwards).")
@click.option("--peers/--no-peers", "with_peers", default=True, show_default=True, help="Others on the same server in the same rounds.")
@click.option(
    "--python", default=ENVIRONMENTS["peers"], type=click.Path(path_type=Path), help="The Python that has the peers. Default: .venv-peers."
)
@click.option("--seconds", type=click.FloatRange(min=1), default=SECONDS, show_default=True, help="Of a peer's measure, at the most.")
@click.option("--after", type=click.FloatRange(min=0), default=AFTER, show_default=True, help=HOW_LONG)
@click.option("--json", "target", metavar="FILE", help="Where the JSON goes. Default: benchmarks/results.")
def server(
    only: str | None,
    rounds: int,
    depth: int,
    store: str | None,
    with_peers: bool,
    python: Path,
    seconds: float,
    after: float,
    target: str | None,
) -> None:
    """Measure Penstock on a PostgreSQL server, beside plain SQL and its peers."""
    programs = Programs({**ENVIRONMENTS, "peers": python})
    if with_peers:
        programs.check((*QUEUES, *EVENTS))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the server ends with us
    plan = Plan(depth, rounds, 0, chosen(only, ON_SERVERS))

    with temporary("penstock-bench-") as folder, given(store) if store else started() as url, closing(Databases(url, folder)) as databases:
        place = InDatabases(databases, programs)
        peers = Peers(programs, {"postgres": place}, QUEUES, EVENTS, seconds) if with_peers else None
        kind, facts = (peers.beside(ON_SERVERS), peers.facts()) if peers else (ON_SERVERS, {})
        report = run(plan, databases, tables.note, kind, folder)
        kills = killed(programs, {"postgres": place}, (OWN["postgres"], *QUEUES), after) if peers and after else {}
    show(
        replace(report, machine={**report.machine, "peers": facts, "kills": kills}),
        target or str(kept("server", plan, COMPARED, with_peers and seconds >= SECONDS and after >= AFTER)),
    )
    for name, fact in facts.items():
        click.echo(f"{name} {fact['version']}: {fact['settings']}")


@contextmanager
def given(url: str) -> Generator[str, None, None]:
    check_url(url)
    yield url
