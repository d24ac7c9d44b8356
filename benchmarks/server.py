"""`python -m benchmarks server`: PostgreSQL, with the peers in the same run, on a server of its own that is stopped afterwards."""

from __future__ import annotations

import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import click

from benchmarks.peers.measures import PYTHON, ROOT, Peers
from penstock.cli import tables
from penstock.cli.bench.command import FULL_DEPTH, chosen, show
from penstock.cli.bench.databases import Databases
from penstock.cli.bench.plan import Plan
from penstock.cli.bench.run import ON_SERVERS, run
from penstock.connect import check_url

RESULT = Path(__file__).with_name("results") / f"server-python{platform.python_version()}.json"
SERVICES = ROOT / "scripts" / "services"


@click.command()
@click.option("--only", metavar="NAME,…", help=f"Some of {', '.join(ON_SERVERS.measures)}.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Figures are medians of so many rounds.")
@click.option("--depth", type=click.IntRange(1_000), default=FULL_DEPTH, show_default=True, help="Jobs that wait when a drain begins.")
@click.option("--store", metavar="URL", help="Another server, where databases are made (and dropped afterwards).")
@click.option("--peers/--no-peers", "with_peers", default=True, show_default=True, help="Others on the same server in the same rounds.")
@click.option("--python", default=PYTHON, type=click.Path(path_type=Path), help="The Python that has the peers. Default: .venv-peers.")
@click.option("--json", "target", default=str(RESULT), metavar="FILE", help="Where the JSON goes. Default: benchmarks/results.")
def server(only: str | None, rounds: int, depth: int, store: str | None, with_peers: bool, python: Path, target: str) -> None:
    """Measure Penstock on a PostgreSQL server, beside plain SQL and its peers."""
    if with_peers and not python.exists():
        raise click.ClickException(f"{python} is not there: scripts/environment peers makes it, and so does make bench; or --no-peers")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the server ends with us
    plan = Plan(depth, rounds, 0, chosen(only, ON_SERVERS))
    with temporary("penstock-bench-") as folder, given(store) if store else started() as url, closing(Databases(url, folder)) as databases:
        peers = Peers(python, databases) if with_peers else None
        kind, facts = (peers.beside(ON_SERVERS), peers.facts()) if peers else (ON_SERVERS, {})
        report = run(plan, databases, tables.note, kind, folder)
    RESULT.parent.mkdir(exist_ok=True)
    show(replace(report, machine={**report.machine, "peers": facts}), target)
    for name, fact in facts.items():
        click.echo(f"{name} {fact['version']}: {fact['settings']}")


@contextmanager
def given(url: str) -> Generator[str, None, None]:
    check_url(url)
    yield url


@contextmanager
def started() -> Generator[str, None, None]:
    with temporary("penstock-postgres-") as folder:
        url = services("start", folder)
        try:
            yield url
        finally:
            services("stop", folder)


@contextmanager
def temporary(prefix: str) -> Generator[Path, None, None]:
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
        yield Path(name)


def services(verb: str, folder: Path) -> str:
    command = [sys.executable, str(SERVICES), verb, "postgres", "--dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"PostgreSQL did not {verb}: {done.stderr}")
    return done.stdout.strip()
