"""Peers are measured in the same run, by programs of their own. How fast they were is nobody's business here."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import psycopg
import pytest
from click.testing import CliRunner, Result

from benchmarks.peers.catalogue import OWN, Peer
from benchmarks.peers.killing import BEFORE, JOBS, killed
from benchmarks.peers.looks import Look, lasted, span
from benchmarks.peers.measures import Peers, one_after_the_other
from benchmarks.peers.places import InDatabases
from benchmarks.peers.programs import Programs
from benchmarks.server import server
from penstock.cli.bench.databases import Databases
from penstock.cli.bench.lines import ON_SERVERS as LINES
from penstock.cli.bench.measures.bench import Bench, Measure
from penstock.cli.bench.plan import Plan, Sample
from penstock.cli.bench.run import Kind

TINY = Peer("tiny", "tests.integration.bench.tiny", finished="select count(*) from job where done")
DEPTH = 1_000
PEERS_LINES = ("concurrent", "many", "drain", "cpu", "cpu-all", "rss", "latency-call-p50", "latency-call-p99")


@pytest.fixture(scope="module")
def databases(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    with closing(Databases(postgres_url, tmp_path_factory.mktemp("peers"))) as made:
        yield made


@pytest.fixture(scope="module")
def tiny(databases: Databases) -> Peers:
    return peers_of(databases, TINY)


@pytest.fixture
def bench(databases: Databases) -> Bench:
    return Bench(Plan(DEPTH, 1, 0, ()), databases)


def peers_of(databases: Databases, *queues: Peer) -> Peers:
    programs = Programs({"peers": Path(sys.executable)})
    return Peers(programs, {"postgres": InDatabases(databases, programs)}, queues)


def test_peers_are_measured_with_our_python_or_not_at_all(tmp_path: Path) -> None:
    other, ours = tmp_path / "python", "{}.{}".format(*sys.version_info)
    other.write_text("#!/bin/sh\necho 3.99\n")
    other.chmod(0o755)
    Programs({"peers": Path(sys.executable)}).check([TINY])
    with pytest.raises(
        click.ClickException, match=f"is Python 3.99, and Penstock is measured with {ours}; .*=.venv-peers-{ours} python{ours}"
    ):
        Programs({"peers": other}).check([TINY])


def measured(name: str, bench: Bench, peers: Peers) -> list[Sample]:
    own = Kind({name: lambda _: [Sample(name, 1.0)]}, LINES)
    return list(peers.beside(own).measures[name](bench))


@pytest.mark.parametrize("name", ["enqueue", "concurrent", "many"])
def test_a_peer_enqueues_after_penstock(name: str, bench: Bench, tiny: Peers) -> None:
    own, peer = measured(name, bench, tiny)
    assert (own.peer, peer.peer) == (None, "tiny")
    assert (peer.line, peer.depth) == (name, bench.plan.singles if name == "enqueue" else DEPTH)
    assert peer.value > 0
    assert peer.p50 is not None and peer.p99 is not None
    assert 0 < peer.p50 <= peer.p99


def test_a_peer_drains(bench: Bench, tiny: Peers) -> None:
    own, drained, cpu, both, rss = measured("drain", bench, tiny)
    assert own.peer is None
    assert (drained.line, cpu.line, both.line, rss.line) == ("drain", "cpu", "cpu-all", "rss")
    assert drained.value > 0 and both.value > cpu.value > 0 and rss.value > 0
    assert drained.depth is not None and 0 < drained.depth <= DEPTH


def test_two_processes_drain_one_queue(bench: Bench, tiny: Peers) -> None:
    _, drained = measured("two", bench, tiny)
    assert drained.line == "two"
    assert drained.value > 0


def test_a_peer_tells_when_its_handler_began(bench: Bench, tiny: Peers) -> None:
    _, p50, p99 = measured("latency", bench, tiny)
    assert (p50.line, p99.line) == ("latency-call-p50", "latency-call-p99")
    assert 0 < p50.value <= p99.value


def test_what_a_peer_does_not_do_is_penstocks_alone(bench: Bench, tiny: Peers) -> None:
    assert [sample.peer for sample in measured("publish", bench, tiny)] == [None]


def test_another_one_begins_each_time(bench: Bench) -> None:
    def of(peer: str) -> Measure:
        return lambda _: [Sample("drain", 1.0, peer=peer)]

    measure = one_after_the_other(of("a"), of("b"), of("c"))
    assert [[sample.peer for sample in measure(bench)] for _ in range(4)] == [list("abc"), list("bca"), list("cab"), list("abc")]


def test_a_peer_that_fails_is_told_of(bench: Bench, databases: Databases) -> None:
    broken = Peer("broken", "tests.integration.bench.missing")
    with pytest.raises(click.ClickException, match="broken failed at 'make'"):
        measured("drain", bench, peers_of(databases, broken))


def test_what_a_killed_worker_had_is_run_again_or_missing(databases: Databases) -> None:
    """The tiny one takes a hundred jobs and settles them before it runs them."""
    programs = Programs({"peers": Path(sys.executable), "own": Path(sys.executable)})
    found = killed(programs, {"postgres": InDatabases(databases, programs)}, (OWN["postgres"], replace(TINY, name="doomed")), 20)["found"]
    assert found["Penstock"]["missing"] == 0 and found["Penstock"]["seconds"] < 20
    assert BEFORE <= JOBS - found["doomed"]["missing"] + 1 < JOBS
    assert found["doomed"]["seconds"] is None


def test_versions_and_settings_are_told(tiny: Peers) -> None:
    assert tiny.facts() == {"tiny": {"version": "1.0", "settings": "batches of 100"}}


def looks(*finished: int) -> list[Look]:
    """A second apart."""
    return [Look(float(at), count, None) for at, count in enumerate(finished)]


@pytest.mark.parametrize(
    ("finished", "begin", "end"),
    [
        ((0, 0, 10, 40, 80, 100), 2, 4),
        ((0, 0, 10, 40, 80), 2, 4),
        ((0, 0, 10, 100), 1, 3),
        ((0, 0, 100), 1, 2),
    ],
    ids=["done", "out of time", "done after one look", "done at once"],
)
def test_a_rate_is_that_of_workers_with_work(finished: tuple[int, ...], begin: int, end: int) -> None:
    seen = looks(*finished)
    assert span(seen, 100) == (seen[begin], seen[end])


def test_time_counts_from_the_first_finished_job() -> None:
    assert lasted(looks(0, 0)) == 0
    assert lasted(looks(0, 0, 5, 6, 7)) == 2


def run(*words: str) -> Result:
    return CliRunner().invoke(server, words)


def test_the_whole_on_a_server_of_its_own(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    done = run("--no-peers", "--only", "many", "--rounds", "1", "--depth", "1000", "--json", str(found))
    assert done.exit_code == 0, done.output
    report: dict[str, Any] = json.loads(found.read_text())
    assert report["lines"]["many"]["value"] > 0
    assert report["machine"]["peers"] == {}


def test_peers_that_are_not_there(tmp_path: Path) -> None:
    done = run("--python", str(tmp_path / "python"))
    assert done.exit_code == 1
    assert "scripts/environment peers" in done.output


@pytest.mark.timeout(400)
def test_the_real_peers(peers_python: str, postgres_url: str, tmp_path: Path) -> None:
    before = databases_of(postgres_url)
    found = tmp_path / "found.json"
    words = ["--store", postgres_url, "--python", peers_python, "--json", str(found)]
    done = run(*words, "--only", "concurrent,many,drain,latency,writers", "--rounds", "1", "--depth", "1000", "--after", "3")
    assert done.exit_code == 0, done.output
    report: dict[str, Any] = json.loads(found.read_text())
    queues = {"PgQueuer", "Procrastinate", "awa", "DBOS"}
    beside = {name: set(line["peers"]) for name, line in report["lines"].items() if line["peers"]}
    assert beside == {**dict.fromkeys(PEERS_LINES, queues), "writers": {"eventsourcing"}}
    assert set(report["machine"]["peers"]) == {*queues, "eventsourcing"}
    kills = report["machine"]["kills"]["found"]
    assert set(kills) == {"Penstock", *queues} and not [kill for kill in kills.values() if "failed" in kill]
    assert databases_of(postgres_url) == before


def databases_of(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute("select datname from pg_database").fetchall()}
