"""The command: the short form for a user's own machine. `python -m benchmarks` is the same with the full matrix's depth."""

from __future__ import annotations

import json
from pathlib import Path

import click

from penstock.cli import tables
from penstock.cli.bench.plan import Plan
from penstock.cli.bench.run import MEASURES, run

SHORT_DEPTH = 20_000
FULL_DEPTH = 200_000
SHORT_LIMIT = 55.0
_STDOUT = "-"


def _chosen(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    if value is None:
        return tuple(MEASURES)
    names = tuple(name.strip() for name in value.split(","))
    unknown = [name for name in names if name not in MEASURES]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: there are {', '.join(MEASURES)}")
    return names


@click.command()
@click.option("--only", callback=_chosen, metavar="NAME,…", help=f"Some of {', '.join(MEASURES)}.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Figures are medians of so many rounds.")
@click.option("--depth", type=click.IntRange(1_000), default=SHORT_DEPTH, show_default=True, help="Jobs that wait when a drain begins.")
@click.option("--limit", type=float, default=SHORT_LIMIT, show_default=True, help="Begin no round that would end later, in s; 0: no limit.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    default=Path(),
    help="Where stores are made (and removed afterwards): where yours will be. Default: here.",
)
@click.option("--json", "target", is_flag=False, flag_value=_STDOUT, metavar="[FILE]", help="As JSON, to FILE or instead of the table.")
def bench(only: tuple[str, ...], rounds: int, depth: int, limit: float, folder: Path, target: str | None) -> None:
    """Measure Penstock on this machine, beside the same SQL by plain sqlite3.

    Targets stand beside the figures, scaled to this disk and core. Needs about a minute; other work on the machine spoils it.
    """
    report = run(Plan(depth, rounds, limit, only), folder.resolve(), tables.note)
    if target == _STDOUT:
        tables.show_json(report.as_json())
        return
    report.show()
    if target is not None:
        Path(target).write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
        tables.note(f"written to {target}")
