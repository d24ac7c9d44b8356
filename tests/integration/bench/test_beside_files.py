"""Peers on Redis, RabbitMQ and a file, each by its real library on a real server. How fast they were is nobody's business."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from benchmarks.file import file
from benchmarks.peers.catalogue import BESIDE_FILES

DRAINED = {"drain", "cpu", "cpu-all", "rss"}
HUEY = "Huey (SQLite)"
LATENCY = {"latency-call-p50", "latency-call-p99"}


def run(*words: str) -> Result:
    return CliRunner().invoke(file, ["--rounds", "1", "--depth", "1000", *words])


def measured(folder: Path, among: str, only: str) -> dict[str, Any]:
    found = folder / "found.json"
    done = run("--folder", str(folder), "--json", str(found), "--among", among, "--only", only, "--after", "0")
    assert done.exit_code == 0, done.output
    report: dict[str, Any] = json.loads(found.read_text())
    assert list(folder.iterdir()) == [found]
    return report


def beside(report: dict[str, Any], lines: set[str]) -> set[str]:
    """Who was measured, which is the same for all of these lines."""
    (names,) = {frozenset(report["lines"][line]["peers"]) for line in lines}
    assert names == set(report["machine"]["peers"])
    return set(names)


def costs_a_server(report: dict[str, Any], names: set[str]) -> bool:
    """Its CPU is counted beside the worker's, where Penstock has none."""
    lines = report["lines"]
    assert lines["cpu-all"]["value"] == lines["cpu"]["value"]
    return all(lines["cpu-all"]["peers"][name] > lines["cpu"]["peers"][name] for name in names)


def on(where: str) -> set[str]:
    return {peer.name for peer in BESIDE_FILES if peer.where == where}


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("peers_python")
def test_peers_on_a_file(tmp_path: Path) -> None:
    report = measured(tmp_path, "sqlite", "concurrent,drain,latency")
    assert beside(report, {"concurrent"} | DRAINED | LATENCY) == on("file")
    assert report["lines"]["drain"]["best_peer"]["ratio"] > 0
    assert all(report["lines"][line]["against_peers"]["but"].get(HUEY) == 0 for line in ("drain", "cpu-all", *LATENCY))


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("peers_python", "saq_python", "redis")
def test_peers_on_redis(tmp_path: Path) -> None:
    report = measured(tmp_path, "redis", "drain,latency")
    assert beside(report, DRAINED | LATENCY) == on("redis")
    assert costs_a_server(report, on("redis"))


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("peers_python", "rabbitmq")
def test_peers_on_rabbitmq(tmp_path: Path) -> None:
    report = measured(tmp_path, "rabbitmq", "drain")
    assert beside(report, DRAINED) == on("rabbitmq")
    assert costs_a_server(report, on("rabbitmq"))


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("peers_python", "postgres_url")
def test_a_peer_on_a_server_of_postgresql(tmp_path: Path) -> None:
    report = measured(tmp_path, "pgqueuer", "drain")
    assert beside(report, DRAINED) == on("postgres") == {"PgQueuer"}
    assert costs_a_server(report, on("postgres"))
    assert report["lines"]["drain"]["against_peers"]["but"]["PgQueuer"] == 3


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("peers_python")
def test_a_worker_of_each_is_killed(tmp_path: Path) -> None:
    """Huey takes a job out of its file before it runs it."""
    found = tmp_path / "found.json"
    words = ("--folder", str(tmp_path), "--json", str(found), "--among", "huey", "--only", "concurrent", "--after", "20")
    done = run(*words)
    assert done.exit_code == 0, done.output
    kills: dict[str, dict[str, float]] = json.loads(found.read_text())["machine"]["kills"]["found"]
    assert kills["Penstock"]["missing"] == 0
    assert kills[HUEY]["missing"] in (1, 2)


def test_peers_that_are_unknown() -> None:
    done = run("--among", "kafka")
    assert done.exit_code == 2
    assert all(peer.name in done.output for peer in BESIDE_FILES)
