"""What the peers do, as measures of the harness: beside Penstock's own of the same names, in the same rounds."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import click

from benchmarks.peers.looks import Look, lasted, span
from benchmarks.peers.program import BATCH
from penstock.cli import tables
from penstock.cli.bench import processes
from penstock.cli.bench.databases import Databases
from penstock.cli.bench.measures.bench import Bench, Measure
from penstock.cli.bench.plan import Sample, percentiles
from penstock.cli.bench.run import Kind
from penstock.cli.bench.sites import Site, Watch

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-peers" / "bin" / "python"
SECONDS = 10.0
"""A measure ends when it is done, or after so long: the slowest peer would need minutes."""
SOON, LATER = 0.05, 1.0
"""Seconds between two looks at a queue that is being drained: the more jobs were done, the more a look costs the server."""


@dataclass(frozen=True)
class Peer:
    name: str
    program: str
    finished: str
    """SQL: how many jobs its tables show as done."""


QUEUES = (
    Peer("PgQueuer", "benchmarks.peers.pgqueuer_queue", "select count(*) from pgqueuer_log where status = 'successful'"),
    Peer("Procrastinate", "benchmarks.peers.procrastinate_queue", "select count(*) from procrastinate_jobs where status = 'succeeded'"),
    Peer(
        "awa",
        "benchmarks.peers.awa_queue",
        "select (select coalesce(sum(completed_count), 0) from awa.receipt_completion_batches)"
        " + (select count(*) from awa.done_entries where state = 'completed')"
        " + (select coalesce(sum(pruned_completed_count), 0) from awa.queue_terminal_rollups)",
    ),
)
EVENTS = (Peer("eventsourcing", "benchmarks.peers.eventsourcing_writers", ""),)


class Peers:
    """`python` has their libraries. `queues` and `events`: those that are measured."""

    def __init__(self, python: Path, databases: Databases, queues: Sequence[Peer] = QUEUES, events: Sequence[Peer] = EVENTS) -> None:
        self._python = python
        self._databases = databases
        self._queues = queues
        self._events = events
        self._made: dict[tuple[str, int], Site] = {}

    def facts(self) -> Mapping[str, Any]:
        """Their versions and settings, by their names."""
        return {peer.name: self._answer(peer, None, "facts") for peer in (*self._queues, *self._events)}

    def beside(self, kind: Kind) -> Kind:
        """Penstock's measures, each with the peers' own of that name after it."""
        theirs: Mapping[str, Sequence[Measure]] = {
            "concurrent": [self._puts(peer, "concurrent", 50_000) for peer in self._queues],
            "many": [self._puts(peer, "many") for peer in self._queues],
            "drain": [self._drain(peer, "drain", 1) for peer in self._queues],
            "two": [self._drain(peer, "two", 2) for peer in self._queues],
            "writers": [self._puts(peer, "writers", 20_000) for peer in self._events],
        }
        return Kind({name: one_after_the_other(own, *theirs.get(name, ())) for name, own in kind.measures.items()}, kind.lines)

    def _puts(self, peer: Peer, line: str, most: int | None = None) -> Measure:
        """The program's verb is the name of the line."""

        def measure(bench: Bench) -> Iterable[Sample]:
            tables.note(f"  {peer.name}")
            site = self._filled(peer, 0)
            count = min(bench.plan.depth, most or bench.plan.depth)
            said = self._answer(peer, site, line, count, SECONDS)
            self._databases.drop(site)
            done = len(said["waits"]) * (BATCH if line == "many" else 1)
            p50, p99 = percentiles(said["waits"])
            yield Sample(line, done / said["seconds"], p50=p50, p99=p99, cpu=1000 * said["cpu"] / done, depth=done, peer=peer.name)

        return measure

    def _drain(self, peer: Peer, line: str, workers: int) -> Measure:
        """From the first finished job until all are, or SECONDS are over."""

        def measure(bench: Bench) -> Iterable[Sample]:
            tables.note(f"  {peer.name}")
            site = self._filled(peer, bench.plan.depth)
            first, last = self._drained(peer, site, bench.plan.depth, workers)
            self._databases.drop(site)
            done = last.finished - first.finished
            cpu = None if first.cpu is None or last.cpu is None else 1000 * (last.cpu - first.cpu) / done
            yield Sample(line, done / (last.at - first.at), cpu=cpu, depth=done, peer=peer.name)
            if line == "drain" and cpu is not None:
                yield Sample("cpu", cpu, depth=done, peer=peer.name)

        return measure

    def _drained(self, peer: Peer, site: Site, depth: int, workers: int) -> tuple[Look, Look]:
        with self._databases.watch(site) as watch, self._workers(peer, site, workers) as running:
            looks = [self._look(peer, watch, running)]
            for each in running:
                let_go(each)
            rest = SOON
            while looks[-1].finished < depth and lasted(looks) < SECONDS:
                if not looks[-1].finished and looks[-1].at - looks[0].at > processes.PATIENCE:
                    raise click.ClickException(f"{peer.name} did nothing for {processes.PATIENCE:g} s:\n{site.log.read_text()[-2000:]}")
                for each in running:
                    processes.check(each, site)
                time.sleep(rest)
                looks.append(self._look(peer, watch, running))
                rest = min(LATER, 1.5 * rest) if looks[-1].finished else SOON
        return span(looks, depth)

    def _look(self, peer: Peer, watch: Watch, running: Sequence[processes.Running]) -> Look:
        """At the moment that its query begins."""
        at, cpu = time.perf_counter(), processes.cpu_seconds(each.pid for each in running)
        return Look(at, watch.number(peer.finished), cpu)

    @contextmanager
    def _workers(self, peer: Peer, site: Site, count: int) -> Generator[Sequence[processes.Running], None, None]:
        """That have connected."""
        with ExitStack() as stack:
            log = stack.enter_context(site.log.open("w+"))
            running = [stack.enter_context(self._worker(peer, site, log)) for _ in range(count)]
            for each in running:
                assert each.stdout is not None
                if each.stdout.readline() != "ready\n":
                    each.wait(processes.PATIENCE)
                    processes.check(each, site)
            yield running

    @contextmanager
    def _worker(self, peer: Peer, site: Site, log: TextIO) -> Generator[processes.Running, None, None]:
        command, pipe = self._command(peer, "work"), subprocess.PIPE
        with subprocess.Popen(command, cwd=ROOT, env=_environment(site), stdin=pipe, stdout=pipe, stderr=log, text=True) as running:
            try:
                yield running
            finally:
                processes.end(running)

    def _filled(self, peer: Peer, count: int) -> Site:
        """A copy; the first one is made, by the peer's own bulk verb."""
        made = self._made.get((peer.program, count))
        if made is None:
            made = self._made[peer.program, count] = self._databases.create(f"{peer.name.lower()}_{count}")
            self._answer(peer, made, "make")
            if count:
                self._answer(peer, made, "fill", count)
            self._databases.rest(made)
        return self._databases.copy(made.name)

    def _answer(self, peer: Peer, site: Site | None, *words: object) -> dict[str, Any]:
        done = subprocess.run(self._command(peer, *words), cwd=ROOT, env=_environment(site), capture_output=True, text=True, check=False)
        if done.returncode:
            raise click.ClickException(f"{peer.name} failed at {words[0]!r}:\n{done.stderr}")
        return json.loads(done.stdout) if done.stdout else {}

    def _command(self, peer: Peer, *words: object) -> list[str]:
        return [str(self._python), "-m", peer.program, *map(str, words)]


def let_go(worker: processes.Running) -> None:
    assert worker.stdin is not None
    worker.stdin.write("\n")
    worker.stdin.flush()


def one_after_the_other(*measures: Measure) -> Measure:
    def measure(bench: Bench) -> Iterable[Sample]:
        for each in measures:
            yield from each(bench)

    return measure


def _environment(site: Site | None) -> dict[str, str]:
    return {**os.environ, "PEER_DATABASE": "" if site is None else site.url}
