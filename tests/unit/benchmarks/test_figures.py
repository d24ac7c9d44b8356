"""What the runs beside peers have found, as tables and charts."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from benchmarks.bars import chart
from benchmarks.figures import BEGIN, END, charts, figures, made, spliced, table
from benchmarks.kept import kept, result
from benchmarks.whole import FULL_STEPS, SHORT_STEPS, taken
from penstock.cli.bench.plan import Plan

MACHINE = {
    **{
        "date": "2026-11-28",
        "penstock": "1.0",
        "commit": "abc",
        "python": "3.12",
        "database": "SQLite 3.45",
        "system": "Linux",
        "cores": 2,
    },
    **{"fsync_per_s": 5300.0, "spawn_per_s": 212000.0, "filesystem": "ext4"},
    "peers": {"fast": {"version": "2", "settings": "as it is"}, "slow": {"version": "3", "settings": "as it was"}},
}


def line(title: str, unit: str, value: float, best: str, asked: float, ok: bool | None, **peers: float) -> dict[str, Any]:
    return {
        **{"title": title, "unit": unit, "value": value, "peers": peers},
        "best_peer": peers and {"name": best, "ratio": value / peers[best]},
        "against_peers": {"asked": asked, "but": {"slow": 3, "absent": 9, "unsafe": 0} if asked == 5 else {}, "ok": ok},
    }


REPORT: dict[str, Any] = {
    "machine": MACHINE,
    "rounds": 5,
    "lines": {
        "drain": line("drain", "/s", 60_000, "fast", 5, True, slow=500, fast=2_000, unsafe=1_000),
        "cpu": line("CPU", "s", 0.02, "slow", 1 / 30, False, slow=0.5),
        "idle": line("idle", "%", 0.3, "", 0, None),
    },
}


def test_a_line_of_the_table_has_all_peers_and_the_best_and_what_is_asked() -> None:
    assert table(REPORT).splitlines() == [
        "|  | Penstock | slow | fast | unsafe | to the best | asked |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| drain, /s | 60,000 | 500 | 2,000 | 1,000 | 30.00 × fast | ≥ 5 ×, ≥ 3 × slow, unsafe apart: ok |",
        "| CPU, s | 0.02 | 0.5 | – | – | 0.04 × slow | ≤ 0.033 ×: MISSED |",
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


def test_what_became_of_a_killed_workers_jobs_has_a_table() -> None:
    found = {
        "Penstock": {"missing": 0, "twice": 1, "seconds": 4.5},
        "fast": {"missing": 12, "twice": 0, "seconds": None},
        "slow": {"failed": "it did not begin\nTraceback"},
    }
    kills = {"jobs": 100, "rest": 0.1, "before": 30, "after": 60.0, "found": found}
    text = made({"file": {**REPORT, "machine": {**MACHINE, "kills": kills}}}, "figures", {})
    assert "| Penstock | 0 | 1 | 4.5 s |\n| fast | 12 | 0 | – |\n| slow | ? | ? | not measured: it did not begin |" in text
    assert "when 30 of 100 jobs of 0.1 s have begun" in text
    assert "SIGKILL" not in made({"file": REPORT}, "figures", {})


def test_how_cost_grows_stands_behind_the_runs() -> None:
    sizes = {"depth": [{"size": 1_000, "us": 20.04, "times": 1.0}], "keys": [{"size": 1, "us": 9.0, "times": 1.0}]}
    growth = {"machine": REPORT["machine"], "rounds": 3, "growth": sizes, "allowed": {"depth": 1.3}, "ok": {"depth": True}}
    text = made({"file": REPORT}, "figures", {"growth-postgres": growth})
    assert text.index("## On a SQLite file") < text.index("## How cost grows")
    assert "on a PostgreSQL server" in text and "- depth: 1,000: 20 (1.00 ×). At most 1.3 ×: ok\n- keys: 1: 9 (1.00 ×)\n" in f"{text}\n"
    assert "How cost grows" not in made({"file": REPORT}, "figures", {})


def test_what_stands_around_the_figures_stays() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert spliced(page, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert spliced(spliced(page, "newer"), "new") == spliced(page, "new")


def test_a_page_without_marks_is_left_alone() -> None:
    with pytest.raises(click.ClickException, match="needs a line"):
        spliced("# Benchmarks\n", "new")


def test_one_command_makes_the_page_and_its_charts(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "benchmarks.md"
    (tmp_path / "file.json").write_text(json.dumps(REPORT))
    options = ["--results", str(tmp_path), "--page", str(page)]
    done = CliRunner().invoke(figures, options)
    assert done.exit_code == 1 and not page.exists()
    assert "not measured yet: server, growth-sqlite, growth-postgres" in done.output
    done = CliRunner().invoke(figures, [*options, "--partial"])
    assert done.exit_code == 0, done.output
    assert "60,000" in page.read_text()
    assert sorted(path.name for path in page.with_suffix("").iterdir()) == ["file-cpu.svg", "file-drain.svg"]


def test_nothing_was_measured(tmp_path: Path) -> None:
    done = CliRunner().invoke(figures, ["--results", str(tmp_path), "--partial", "--page", str(tmp_path / "page.md")])
    assert done.exit_code == 1
    assert "not measured yet: file, server, growth-sqlite, growth-postgres" in done.output


@pytest.mark.parametrize(
    ("plan", "everyone", "whole"),
    [
        (Plan(200_000, 5, 0, ("drain", "many", "tx")), True, True),
        (Plan(200_000, 5, 0, ("drain", "many")), False, False),
        (Plan(200_000, 4, 0, ("drain", "many")), True, False),
        (Plan(1_000, 5, 0, ("drain", "many")), True, False),
        (Plan(200_000, 5, 0, ("drain",)), True, False),
    ],
)
def test_a_part_does_not_take_the_place_of_the_whole(plan: Plan, everyone: bool, whole: bool) -> None:
    assert (kept("server", plan, ("drain", "many"), everyone) == result("server")) is whole


def test_a_step_that_fails_ends_the_whole() -> None:
    with pytest.raises(SystemExit) as ended:
        taken([("growth", "--only", "weight"), ("figures", "--help")])
    assert ended.value.code == 2


@pytest.mark.parametrize("steps", [FULL_STEPS, SHORT_STEPS])
def test_the_steps_make_all_that_the_page_needs(steps: Sequence[Sequence[str]]) -> None:
    assert [step[0] for step in steps] == ["file", "server", "growth", "growth", "figures"]
    assert [step.count("postgres") for step in steps] == [0, 0, 0, 1, 0]
