"""`python -m benchmarks figures`: the JSON of the runs beside peers as tables and bar charts of docs/benchmarks.md.

What stands between the two marks of the page is made anew; the rest of it is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import click

from benchmarks.bars import chart, number
from benchmarks.kept import result
from benchmarks.services import ROOT
from penstock.cli.bench.lines import COSTS
from penstock.cli.bench.report import VERDICTS

Report: TypeAlias = Mapping[str, Any]

OWN = "Penstock"
BEGIN, END = "<!-- figures: made by `make bench ARGS=figures` -->", "<!-- end of figures -->"
PAGE = ROOT / "docs" / "benchmarks.md"
RUNS: Mapping[str, str] = {"file": "On a SQLite file", "server": "On a PostgreSQL server"}
GROWTHS: Mapping[str, str] = {"growth-sqlite": "a SQLite file", "growth-postgres": "a PostgreSQL server"}


@click.command()
@click.option(
    "--results", type=click.Path(path_type=Path), help="Folder with file.json, server.json, … Default: what this Python has found."
)
@click.option("--partial", is_flag=True, help="With some of them missing.")
@click.option("--page", default=PAGE, type=click.Path(path_type=Path), help="Default: docs/benchmarks.md; charts go beside it.")
def figures(results: Path | None, partial: bool, page: Path) -> None:
    """Tables and bar charts of what was measured beside the peers."""
    found = {name: read(results / f"{name}.json" if results else result(name)) for name in (*RUNS, *GROWTHS)}
    missing = [name for name, report in found.items() if report is None]
    if len(missing) == len(found) or (missing and not partial):
        raise click.ClickException(f"not measured yet: {', '.join(missing)}; `make bench` does it all. --partial leaves them out")
    reports, growths = ({name: report for name in names if (report := found[name])} for names in (RUNS, GROWTHS))
    folder = page.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    for name, svg in charts(reports).items():
        (folder / name).write_text(svg, encoding="utf-8")
    text = page.read_text(encoding="utf-8") if page.exists() else f"# Benchmarks\n\n{BEGIN}\n{END}\n"
    page.write_text(spliced(text, made(reports, folder.name, growths)), encoding="utf-8")
    click.echo(f"{page}, and {len(charts(reports))} charts in {folder}")


def read(path: Path) -> Report | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def spliced(page: str, text: str) -> str:
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise click.ClickException(f"the page needs a line {BEGIN} and a line {END}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def made(reports: Mapping[str, Report], folder: str, growths: Mapping[str, Report]) -> str:
    parts: list[str] = []
    for name, report in reports.items():
        images = [f"![{line['title']}]({folder}/{file_of(name, key)})" for key, line in compared(report).items()]
        parts += [f"## {RUNS[name]}", machine(report), table(report), "\n\n".join(images), *killings(report), settings(report)]
    parts += ["## How cost grows"] if growths else []
    for name, report in growths.items():
        parts += [f"µs of a job from the first claim to the last settle, on {GROWTHS[name]}. {machine(report)}", costs(report)]
    return "\n\n".join(parts)


def costs(report: Report) -> str:
    """A line for each thing that grows: the cost at each of its sizes, and how many times that of the first one it is."""
    return "\n".join(
        f"- {name}: "
        + " · ".join(f"{size['size']:,}: {number(size['us'])} ({size['times']:.2f} ×)" for size in sizes)
        + limit(report, name)
        for name, sizes in report["growth"].items()
    )


def limit(report: Report, name: str) -> str:
    return f". At most {report['allowed'][name]:g} ×: {VERDICTS[report['ok'][name]]}" if name in report["allowed"] else ""


def charts(reports: Mapping[str, Report]) -> dict[str, str]:
    """By the names of their files."""
    return {
        file_of(name, key): chart(line["title"], line["unit"], {OWN: line["value"], **line["peers"]}, OWN, line["unit"] in COSTS)
        for name, report in reports.items()
        for key, line in compared(report).items()
    }


def file_of(run: str, line: str) -> str:
    return f"{run}-{line}.svg"


def compared(report: Report) -> Mapping[str, Mapping[str, Any]]:
    """The lines that a peer has too."""
    return {key: line for key, line in report["lines"].items() if line["peers"]}


def machine(report: Report) -> str:
    of = report["machine"]
    disk = f"{of['fsync_per_s']:,.0f} synced appends of 4 KiB a second, on {of['filesystem']}"
    return (
        f"{of['date']}, Penstock {of['penstock']} ({of['commit'] or 'no checkout'}), Python {of['python']}, {of['database']}, "
        f"{of['system']}, {of['cores']} cores. Disk: {disk}; core: {of['spawn_per_s']:,.0f} asyncio tasks a second. "
        f"Medians of {report['rounds']} rounds."
    )


def table(report: Report) -> str:
    """A column for each peer; how many times the best of them Penstock is, or how small a part where less is better; what is asked."""
    lines = list(compared(report).values())
    names = list(dict.fromkeys(name for line in lines for name in line["peers"]))
    rows = [
        [
            f"{line['title']}, {line['unit']}",
            number(line["value"]),
            *(cell(line["peers"].get(name)) for name in names),
            beside(line),
            asked(line),
        ]
        for line in lines
    ]
    return "\n".join([row(["", OWN, *names, "to the best", "asked"]), row(["---", *["---:"] * (len(names) + 3)]), *map(row, rows)])


def beside(line: Mapping[str, Any]) -> str:
    best = line["best_peer"]
    return f"{best['ratio']:.2f} × {best['name']}"


def asked(line: Mapping[str, Any]) -> str:
    """Of the peers alone, and whether it is so."""
    against = line["against_peers"]
    if against["ok"] is None:
        return ""
    sign = "≤" if line["unit"] in COSTS else "≥"
    parts = [
        f"{sign} {against['asked']:.2g} ×",
        *(f"{sign} {times:.2g} × {name}" for name, times in against["but"].items() if times and name in line["peers"]),
        *(f"{name} apart" for name, times in against["but"].items() if not times and name in line["peers"]),
    ]
    return f"{', '.join(parts)}: {VERDICTS[against['ok']]}"


def killings(report: Report) -> Sequence[str]:
    """What became of the jobs of a worker that was killed."""
    if not (kills := report["machine"].get("kills")):
        return []
    head = (
        f"A worker is killed (SIGKILL) when {kills['before']} of {kills['jobs']} jobs of {kills['rest']:g} s have begun, and another one "
        f"starts. Not run: {kills['after']:g} s later. Some run it much later, after timeouts of their own; see benchmarks/README.md."
    )
    rows = [row([name, *killing(found)]) for name, found in kills["found"].items()]
    return [head, "\n".join([row(["", "not run", "run twice", "all had run after"]), row(["---", "---:", "---:", "---:"]), *rows])]


def killing(found: Mapping[str, Any]) -> Sequence[str]:
    if "failed" in found:
        return ["?", "?", f"not measured: {found['failed'].splitlines()[0]}"]
    return [str(found["missing"]), str(found["twice"]), "–" if found["seconds"] is None else f"{found['seconds']:g} s"]


def settings(report: Report) -> str:
    peers: Mapping[str, Mapping[str, str]] = report["machine"]["peers"]
    return "\n".join(f"- {name} {fact['version']}: {fact['settings']}" for name, fact in peers.items())


def cell(value: float | None) -> str:
    return "–" if value is None else number(value)


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
