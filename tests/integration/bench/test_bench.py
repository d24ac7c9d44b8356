"""`penstock bench` runs, measures everything, and says what the figures mean. How fast it was is nobody's business here."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from penstock.cli.bench.lines import LINES, ON_SERVERS, Here, Line
from penstock.cli.bench.plan import Sample
from penstock.cli.bench.report import Report
from penstock.cli.bench.run import MEASURES

REFERENCE = Here(fsync=5_300, spawn=212_000, fsync_p99=0.5)
SLOW = Here(fsync=530, spawn=106_000, fsync_p99=5)


def bench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "penstock", "bench", "--folder", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("bench")
    done = bench(folder, "--rounds", "1", "--depth", "2000", "--json")
    assert done.returncode == 0, done.stderr
    assert not list(folder.iterdir())
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_every_line_is_measured(measured: dict[str, Any]) -> None:
    assert set(measured["lines"]) == set(LINES)
    assert all(line["value"] > 0 for name, line in measured["lines"].items() if not name.startswith("latency-return"))


def test_rates_stand_beside_the_raw_driver(measured: dict[str, Any]) -> None:
    rates = {name: line for name, line in measured["lines"].items() if LINES[name].raw}
    assert len(rates) == 13
    assert all(line["raw"] > 0 and line["ratio"] > 0 and line["raw_is"] for line in rates.values())


def test_targets_have_a_verdict(measured: dict[str, Any]) -> None:
    verdicts = {name: line["target"]["ok"] for name, line in measured["lines"].items() if line["target"]}
    assert {name for name, line in LINES.items() if line.kind != "none"} == set(verdicts)
    assert measured["missed"] == [name for name, ok in verdicts.items() if not ok]
    assert all(line["ok"] is verdicts.get(name) for name, line in measured["lines"].items())


def test_synced_commits_are_counted(measured: dict[str, Any]) -> None:
    lines = measured["lines"]
    assert lines["enqueue"]["fsyncs"] == lines["enqueue"]["depth"]
    assert lines["many"]["fsyncs"] == 2
    assert 20 <= lines["concurrent"]["fsyncs"] <= 2000


def test_the_machine_is_described(measured: dict[str, Any]) -> None:
    assert {"commit", "python", "database", "filesystem", "fsync_per_s", "fsync_p99_ms", "spawn_per_s", "disk", "core"} <= set(
        measured["machine"]
    )


def test_a_table_for_humans_and_a_file_for_programs(tmp_path: Path) -> None:
    done = bench(tmp_path, "--only", "many", "--rounds", "2", "--depth", "1000", "--json", str(tmp_path / "found.json"))
    assert done.returncode == 0, done.stderr
    assert "enqueue_many(1000)" in done.stdout
    assert len(json.loads((tmp_path / "found.json").read_text())["lines"]["many"]["rounds"]) == 2


def test_an_unknown_measure_is_refused(tmp_path: Path) -> None:
    done = bench(tmp_path, "--only", "drain,flow")
    assert done.returncode == 2
    assert all(name in done.stderr for name in ("flow", *MEASURES))


def test_targets_on_the_reference_machine_are_those_of_the_issue() -> None:
    wanted = {name: line.target for name, line in LINES.items() if line.kind == "rate"}
    assert {name: LINES[name].scaled(REFERENCE) for name in wanted} == pytest.approx(wanted)


def test_a_slow_disk_excuses_commits_and_a_slow_core_the_rest() -> None:
    assert LINES["drain"].scaled(SLOW) == pytest.approx(LINES["drain"].target / 2)
    per_hundred = 100 * (1 / 60_000) - 1 / 5_300
    assert LINES["concurrent"].scaled(SLOW) == pytest.approx(100 / (2 * per_hundred + 1 / 530))
    assert LINES["enqueue"].scaled(SLOW) == 0.6
    assert LINES["latency-return-p99"].scaled(SLOW) == 20
    assert LINES["latency-return-p99"].scaled(replace(SLOW, fsync_p99=1)) == 6
    assert LINES["rss"].scaled(SLOW) == 60


@pytest.fixture(scope="module")
def measured_on_server(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    done = bench(tmp_path_factory.mktemp("bench"), "--store", postgres_url, "--rounds", "1", "--depth", "1000", "--json")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.timeout(400)
def test_every_line_is_measured_on_a_server(measured_on_server: dict[str, Any]) -> None:
    lines = measured_on_server["lines"]
    assert set(lines) == set(ON_SERVERS)
    assert {name for name, line in ON_SERVERS.items() if line.raw} == {name for name, line in lines.items() if line["raw"]}
    assert measured_on_server["machine"]["database"].startswith("PostgreSQL")


@pytest.mark.timeout(400)
def test_a_server_tells_what_a_job_costs_it(measured_on_server: dict[str, Any]) -> None:
    lines = measured_on_server["lines"]
    assert lines["cpu-all"]["value"] > lines["cpu"]["value"]
    assert all(lines[name]["wal_bytes"] > 100 for name in ("enqueue", "many", "drain", "tx", "writers"))
    assert lines["enqueue"]["commits"] >= 1 > lines["many"]["commits"]


@pytest.mark.timeout(400)
def test_nothing_is_left_on_the_server(postgres_url: str, measured_on_server: dict[str, Any]) -> None:
    assert measured_on_server["rounds"] == 1
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("select datname from pg_database where datname like 'bench%'").fetchall() == []


def test_a_file_is_no_server(tmp_path: Path) -> None:
    done = bench(tmp_path, "--store", "sqlite:///x.db")
    assert done.returncode == 2
    assert "--folder" in done.stderr


@pytest.mark.parametrize(
    ("line", "own", "beaten"),
    [
        (Line("drain", "/s", "ratio", 0.3, peers=2), 2_000, True),
        (Line("drain", "/s", "ratio", 0.3, peers=2), 1_999, False),
        (Line("drain", "/s", "ratio", 0.9, peers=2), 2_000, False),
        (Line("cpu", "s", "cpu", 9_000, peers=1), 500, True),
        (Line("cpu", "s", "cpu", 9_000, peers=1), 501, False),
        (Line("cpu-all", "s", peers=1 / 2), 250, True),
        (Line("cpu-all", "s", peers=1 / 2), 251, False),
        (Line("drain", "/s", peers=5, but={"fast": 3}), 3_000, True),
        (Line("drain", "/s", peers=5, but={"fast": 3}), 2_999, False),
        (Line("drain", "/s", peers=5, but={"fast": 2}), 2_499, False),
        (Line("drain", "/s"), 1, None),
    ],
)
def test_a_line_stands_beside_the_best_peer(line: Line, own: float, beaten: bool | None) -> None:
    peers = [
        Sample("line", value, peer=peer)
        for peer, values in {"slow": (500, 700, 500), "fast": (1_000, 10, 5_000)}.items()
        for value in values
    ]
    row = Report({}, REFERENCE, 3, [Sample("line", own, raw=4_000), *peers], {"line": line}).rows["line"]
    assert row.beside == {"slow": 500, "fast": 1_000}
    assert row.ok is beaten


@pytest.mark.parametrize(
    ("line", "target"),
    [
        (Line("many", "/s", "rate", 2_000, peers=1), "≥ 2,000 /s"),
        (Line("many", "/s", "rate", 900, peers=1), "≥ 1,000 /s"),
        (Line("drain", "/s", "ratio", 0.3, peers=2), "≥ 0.3 × raw, 2,000 /s"),
        (Line("cpu", "s", "cpu", 0.03, peers=1), "≤ 0.03 s"),
        (Line("cpu", "s", "cpu", 9_000, peers=1), "≤ 1e+03 s"),
        (Line("cpu-all", "s", peers=1 / 4), "≤ 250 s"),
        (Line("two", "/s", peers=3), "≥ 3,000 /s"),
    ],
)
def test_the_target_that_is_shown_is_the_one_that_counts(line: Line, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    samples = [Sample("line", 500, raw=4_000), Sample("line", 1_000, peer="peer")]
    facts: dict[str, object] = dict.fromkeys(
        ("penstock", "commit", "python", "database", "system", "cores", "load", "filesystem", "raw"), "-"
    )
    Report(facts, REFERENCE, 1, samples, {"line": line}).show()
    assert target in capsys.readouterr().out
