"""`python -m benchmarks file`: a SQLite file, with peers in the same run, on SQLite and on servers of Redis, RabbitMQ and PostgreSQL."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import click

from benchmarks.kept import ROUNDS, kept
from benchmarks.peers.catalogue import BESIDE_FILES, OWN, Peer, Where
from benchmarks.peers.killing import AFTER, HOW_LONG, killed
from benchmarks.peers.measures import SECONDS, Peers
from benchmarks.peers.places import InDatabases, InFolders, Place
from benchmarks.peers.programs import Programs
from benchmarks.services import started, temporary
from penstock.cli import tables
from penstock.cli.bench.command import FULL_DEPTH, chosen, show
from penstock.cli.bench.databases import Databases
from penstock.cli.bench.files import Files
from penstock.cli.bench.plan import Plan
from penstock.cli.bench.run import ON_FILES, run

COMPARED = ("enqueue", "concurrent", "many", "drain", "two", "latency")
"""What the peers do too."""


@click.command()
@click.option("--only", metavar="NAME,…", default=",".join(COMPARED), show_default=True, help=f"Some of {', '.join(ON_FILES.measures)}.")
@click.option("--rounds", type=click.IntRange(1), default=ROUNDS, show_default=True, help="Figures are medians of so many rounds.")
@click.option("--depth", type=click.IntRange(1_000), default=FULL_DEPTH, show_default=True, help="Jobs that wait when a drain begins.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    default=Path(),
    help="Where the file and the servers' data are made (and removed afterwards). Default: here.",
)
@click.option("--among", metavar="WORD,…", help="Only peers with one of these words in their names, such as Huey,Redis.")
@click.option("--seconds", type=click.FloatRange(min=1), default=SECONDS, show_default=True, help="Of a peer's measure, at the most.")
@click.option("--after", type=click.FloatRange(min=0), default=AFTER, show_default=True, help=HOW_LONG)
@click.option("--json", "target", metavar="FILE", help="Where the JSON goes. Default: benchmarks/results.")
def file(only: str, rounds: int, depth: int, folder: Path, among: str | None, seconds: float, after: float, target: str | None) -> None:
    """Measure Penstock on a SQLite file, beside peers on Redis, RabbitMQ, SQLite and PostgreSQL."""
    peers_here, programs = named(among), Programs()
    programs.check(peers_here)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the servers end with us
    plan = Plan(depth, rounds, 0, chosen(only, ON_FILES))
    with temporary("penstock-bench-", folder.resolve()) as scratch, ExitStack() as stack:
        where = places(stack, scratch / "peers", programs, peers_here)
        peers = Peers(programs, where, peers_here, seconds=seconds)
        facts = peers.facts()
        report = run(plan, Files(scratch), tables.note, peers.beside(ON_FILES), scratch)
        kills = killed(programs, where, (OWN["file"], *peers_here), after) if after else {}
    show(
        replace(report, machine={**report.machine, "peers": facts, "kills": kills}),
        target or str(kept("file", plan, COMPARED, among is None and seconds >= SECONDS and after >= AFTER)),
    )
    for name, fact in facts.items():
        click.echo(f"{name} {fact['version']}: {fact['settings']}")


def places(stack: ExitStack, folder: Path, programs: Programs, peers: Sequence[Peer]) -> Mapping[Where, Place]:
    """Until the end of `stack`."""
    folders = stack.enter_context(closing(InFolders(folder, programs)))
    found: dict[Where, Place] = {"file": folders, "redis": folders, "rabbitmq": folders}
    if any(peer.where == "postgres" for peer in peers):
        logs = folder / "postgres"
        logs.mkdir(parents=True)
        databases = stack.enter_context(closing(Databases(stack.enter_context(started()), logs)))
        found["postgres"] = InDatabases(databases, programs)
    return found


def named(among: str | None) -> Sequence[Peer]:
    if among is None:
        return BESIDE_FILES
    words = [word.strip().lower() for word in among.split(",")]
    found = [peer for peer in BESIDE_FILES if any(word in peer.name.lower() for word in words)]
    if not found:
        raise click.BadParameter(f"{among}: there are {', '.join(peer.name for peer in BESIDE_FILES)}", param_hint="--among")
    return found
