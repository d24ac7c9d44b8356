"""What the runs beside peers have found, as tables and charts."""

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from benchmarks.bars import chart
from benchmarks.figures import BEGIN, END, charts, figures, made, spliced, table

MACHINE = {
    **{"penstock": "1.0", "commit": "abc", "python": "3.12", "database": "SQLite 3.45", "system": "Linux", "cores": 2},
    **{"fsync_per_s": 5300.0, "spawn_per_s": 212000.0, "filesystem": "ext4"},
    "peers": {"fast": {"version": "2", "settings": "as it is"}, "slow": {"version": "3", "settings": "as it was"}},
}


def line(title: str, unit: str, value: float, best: str, **peers: float) -> dict[str, Any]:
    ratio = value / peers[best] if peers else 0
    return {"title": title, "unit": unit, "value": value, "peers": peers, "best_peer": peers and {"name": best, "ratio": ratio}}


REPORT: dict[str, Any] = {
    "machine": MACHINE,
    "rounds": 5,
    "lines": {
        "drain": line("drain", "/s", 60_000, "fast", slow=500, fast=2_000),
        "cpu": line("CPU", "s", 0.02, "slow", slow=0.5),
        "idle": line("idle", "%", 0.3, ""),
    },
}


def test_a_line_of_the_table_has_all_peers_and_the_best() -> None:
    assert table(REPORT).splitlines() == [
        "|  | Penstock | slow | fast | to the best |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| drain, /s | 60,000 | 500 | 2,000 | 30.00 × fast |",
        "| CPU, s | 0.02 | 0.5 | – | 0.04 × slow |",
    ]


def test_each_line_with_peers_has_a_chart() -> None:
    found = charts({"file": REPORT, "server": REPORT})
    assert sorted(found) == ["file-cpu.svg", "file-drain.svg", "server-cpu.svg", "server-drain.svg"]
    assert all(f"(figures/{name})" in made({"file": REPORT, "server": REPORT}, "figures", {}) for name in found)


@pytest.mark.parametrize(("less_is_better", "order"), [(False, ["a & b", "us", "them"]), (True, ["them", "us", "a & b"])])
def test_the_best_bar_comes_first_and_is_as_long_as_it_should_be(less_is_better: bool, order: list[str]) -> None:
    svg = chart("drain", "/s", {"us": 50, "them": 25, "a & b": 100}, "us", less_is_better)
    names = re.findall(r'text-anchor="end"[^>]*>([^<]+)<', svg)
    lengths = dict(zip(names, map(int, re.findall(r'<rect x="\d+" y="\d+" width="(\d+)"', svg)), strict=True))
    assert [name.replace("&amp;", "&") for name in names] == order
    assert lengths["a &amp; b"] == 2 * lengths["us"] == 4 * lengths["them"]


def test_how_cost_grows_stands_behind_the_runs() -> None:
    growth = {"machine": REPORT["machine"], "rounds": 3, "growth": {"depth": [{"size": 1_000, "us": 20.04, "times": 1.0}]}}
    text = made({"file": REPORT}, "figures", {"growth-postgres": growth})
    assert text.index("## On a SQLite file") < text.index("## How cost grows")
    assert "on a PostgreSQL server" in text and "- depth: 1,000: 20 (1.00 ×)" in text
    assert "How cost grows" not in made({"file": REPORT}, "figures", {})


def test_what_stands_around_the_figures_stays() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert spliced(page, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert spliced(spliced(page, "newer"), "new") == spliced(page, "new")


def test_a_page_without_marks_is_left_alone() -> None:
    with pytest.raises(click.ClickException, match="needs a line"):
        spliced("# Benchmarks\n", "new")


def test_one_command_makes_the_page_and_its_charts(tmp_path: Path) -> None:
    found, page = tmp_path / "found.json", tmp_path / "docs" / "benchmarks.md"
    found.write_text(json.dumps(REPORT))
    done = CliRunner().invoke(figures, ["--file", str(found), "--server", str(tmp_path / "none"), "--page", str(page)])
    assert done.exit_code == 0, done.output
    assert "60,000" in page.read_text()
    assert sorted(path.name for path in page.with_suffix("").iterdir()) == ["file-cpu.svg", "file-drain.svg"]


def test_nothing_was_measured(tmp_path: Path) -> None:
    none = str(tmp_path / "none")
    done = CliRunner().invoke(figures, ["--file", none, "--server", none, "--page", str(tmp_path / "page.md")])
    assert done.exit_code == 1
    assert "make bench ARGS=file" in done.output
