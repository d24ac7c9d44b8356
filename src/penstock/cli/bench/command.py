"""The command: the short form for a user's own machine. `python -m benchmarks` is the same with the full matrix's depth."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from penstock.cli import lazy, tables
from penstock.cli.bench.files import Files
from penstock.cli.bench.plan import Plan
from penstock.cli.bench.report import Report
from penstock.cli.bench.run import ON_FILES, ON_SERVERS, Kind, run
from penstock.cli.bench.sites import Sites
from penstock.connect import check_url, is_postgres

SHORT_DEPTH = 20_000
FULL_DEPTH = 200_000
SHORT_LIMIT = 55.0
_STDOUT = "-"


def chosen(only: str | None, kind: Kind) -> tuple[str, ...]:
    if only is None:
        return tuple(kind.measures)
    names = tuple(name.strip() for name in only.split(","))
    unknown = [name for name in names if name not in kind.measures]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: there are {', '.join(kind.measures)}", param_hint="--only")
    return names


@click.command()
@click.option("--only", metavar="NAME,…", help=f"Some of {', '.join(ON_FILES.measures)}.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Figures are medians of so many rounds.")
@click.option("--depth", type=click.IntRange(1_000), default=SHORT_DEPTH, show_default=True, help="Jobs that wait when a drain begins.")
@click.option("--limit", type=float, default=SHORT_LIMIT, show_default=True, help="Begin no round that would end later, in s; 0: no limit.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    default=Path(),
    help="Where stores are made (and removed afterwards): where yours will be. Default: here.",
)
@click.option("--store", metavar="URL", help="Instead of a file, a PostgreSQL server, where databases are made (and dropped afterwards).")
@click.option("--json", "target", is_flag=False, flag_value=_STDOUT, metavar="[FILE]", help="As JSON, to FILE or instead of the table.")
def bench(only: str | None, rounds: int, depth: int, limit: float, folder: Path, store: str | None, target: str | None) -> None:
    """Measure Penstock on this machine, beside the same SQL by the plain driver.

    Targets stand beside the figures, scaled to this disk and core. Needs about a minute; other work on the machine spoils it.
    """
    kind = ON_FILES if store is None else ON_SERVERS
    plan = Plan(depth, rounds, limit, chosen(only, kind))
    with TemporaryDirectory(prefix="penstock-bench-", dir=folder.resolve()) as name, _sites(store, Path(name)) as sites:
        show(run(plan, sites, tables.note, kind, Path(name)), target)


def show(report: Report, target: str | None) -> None:
    if target == _STDOUT:
        tables.show_json(report.as_json())
        return
    report.show()
    if target is not None:
        Path(target).write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
        tables.note(f"written to {target}")


@contextmanager
def _sites(store: str | None, folder: Path) -> Generator[Sites, None, None]:
    if store is None:
        yield Files(folder)
        return
    check_url(store)
    if not is_postgres(store):
        raise click.BadParameter("a file is made where --folder says: leave --store out", param_hint="--store")
    databases = lazy.load("penstock.cli.bench.databases:Databases")(store, folder)
    try:
        yield databases
    finally:
        databases.close()
