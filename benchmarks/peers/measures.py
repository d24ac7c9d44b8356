"""What the peers do, as measures of the harness: beside Penstock's own of the same names, in the same rounds."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import click

from benchmarks.peers.catalogue import Peer, Where
from benchmarks.peers.looks import Look, lasted, span
from benchmarks.peers.places import Place, Queue
from benchmarks.peers.program import BATCH
from benchmarks.peers.programs import Programs, hear, tell
from penstock.cli import tables
from penstock.cli.bench import processes
from penstock.cli.bench.measures.bench import Bench, Measure
from penstock.cli.bench.measures.resting import RATE
from penstock.cli.bench.plan import Sample, percentiles
from penstock.cli.bench.run import Kind
from penstock.cli.bench.sites import Site

SECONDS = 10.0
"""A peer's measure ends when it is done, or after so long: the slowest would need minutes."""
SOON, LATER = 0.05, 1.0
"""Seconds between two looks at a queue that is being drained: the more jobs were done, the more a look costs the server."""


class Drained(NamedTuple):
    first: Look
    last: Look
    rss: float | None


class Peers:
    """`queues` and `events`: those that are measured. `places`: of each kind that they need. `seconds`: of a measure at the most."""

    def __init__(
        self,
        programs: Programs,
        places: Mapping[Where, Place],
        queues: Sequence[Peer],
        events: Sequence[Peer] = (),
        seconds: float = SECONDS,
    ) -> None:
        self._programs = programs
        self._places = places
        self._queues = queues
        self._events = events
        self._seconds = seconds

    def facts(self) -> Mapping[str, Any]:
        """Their versions and settings, by their names."""
        return {peer.name: self._programs.answer(peer, None, "facts") for peer in (*self._queues, *self._events)}

    def beside(self, kind: Kind) -> Kind:
        """Penstock's measures, each with the peers' own of that name in turn."""
        theirs: Mapping[str, Sequence[Measure]] = {
            "enqueue": [self._puts(peer, "enqueue", lambda bench: bench.plan.singles) for peer in self._queues],
            "concurrent": [self._puts(peer, "concurrent", lambda bench: min(bench.plan.depth, 50_000)) for peer in self._queues],
            "many": [self._puts(peer, "many", lambda bench: bench.plan.depth) for peer in self._queues if peer.bulk],
            "drain": [self._drain(peer, "drain", 1) for peer in self._queues],
            "two": [self._drain(peer, "two", 2) for peer in self._queues],
            "latency": [self._latency(peer) for peer in self._queues],
            "writers": [self._puts(peer, "writers", lambda bench: min(bench.plan.depth, 20_000)) for peer in self._events],
        }
        return Kind({name: one_after_the_other(own, *theirs.get(name, ())) for name, own in kind.measures.items()}, kind.lines)

    def _puts(self, peer: Peer, line: str, jobs: Callable[[Bench], int]) -> Measure:
        """The program's verb is the name of the line."""

        def measure(bench: Bench) -> Iterable[Sample]:
            with self._queue(peer, 0) as site:
                said = self._programs.answer(peer, site, line, jobs(bench), self._seconds)
            done = len(said["waits"]) * (BATCH if line == "many" else 1)
            p50, p99 = percentiles(said["waits"])
            yield Sample(line, done / said["seconds"], p50=p50, p99=p99, cpu=1000 * said["cpu"] / done, depth=done, peer=peer.name)

        return measure

    def _latency(self, peer: Peer) -> Measure:
        """From the call to the handler in another process, which has begun a job before."""

        def measure(bench: Bench) -> Iterable[Sample]:
            with self._queue(peer, 0) as site, self._workers(peer, site, 1) as running:
                tell(running[0])
                said = self._programs.answer(peer, site, "steady", bench.plan.moments, RATE)
            p50, p99 = percentiles(said["waits"])
            yield Sample("latency-call-p50", p50, p50=p50, p99=p99, depth=0, peer=peer.name)
            yield Sample("latency-call-p99", p99, p50=p50, p99=p99, depth=0, peer=peer.name)

        return measure

    def _drain(self, peer: Peer, line: str, workers: int) -> Measure:
        """From the first finished job until all are, or the time is over."""

        def measure(bench: Bench) -> Iterable[Sample]:
            with self._queue(peer, bench.plan.depth) as site:
                first, last, rss = self._drained(peer, site, bench.plan.depth, workers)
            done = last.finished - first.finished
            cpu = None if first.cpu is None or last.cpu is None else 1000 * (last.cpu - first.cpu) / done
            yield Sample(line, done / (last.at - first.at), cpu=cpu, rss=rss, depth=done, peer=peer.name)
            if line == "drain" and cpu is not None:
                yield Sample("cpu", cpu, depth=done, peer=peer.name)
            if line == "drain" and cpu is not None and first.server is not None and last.server is not None:
                yield Sample("cpu-all", cpu + 1000 * (last.server - first.server) / done, depth=done, peer=peer.name)
            if line == "drain" and rss is not None:
                yield Sample("rss", rss, depth=done, peer=peer.name)

        return measure

    def _drained(self, peer: Peer, site: Site, depth: int, workers: int) -> Drained:
        with self._places[peer.where].watch(peer, site, depth) as queue, self._workers(peer, site, workers) as running:
            looks = [look(queue, running)]
            for each in running:
                tell(each)
            rest = SOON
            while looks[-1].finished < depth and lasted(looks) < self._seconds:
                if not looks[-1].finished and looks[-1].at - looks[0].at > processes.PATIENCE:
                    raise click.ClickException(f"{peer.name} did nothing for {processes.PATIENCE:g} s:\n{site.log.read_text()[-2000:]}")
                for each in running:
                    processes.check(each, site)
                time.sleep(rest)
                looks.append(look(queue, running))
                rest = min(LATER, 1.5 * rest) if looks[-1].finished else SOON
            rss = processes.peak_mebibytes(each.pid for each in running)
        return Drained(*span(looks, depth), rss)

    @contextmanager
    def _queue(self, peer: Peer, count: int) -> Generator[Site, None, None]:
        """With `count` jobs that wait."""
        tables.note(f"  {peer.name}")
        place = self._places[peer.where]
        site = place.filled(peer, count)
        yield site
        place.drop(peer, site)

    @contextmanager
    def _workers(self, peer: Peer, site: Site, count: int) -> Generator[Sequence[processes.Running], None, None]:
        """That have connected, and wait for a line."""
        with ExitStack() as stack:
            log = stack.enter_context(site.log.open("w+"))
            running = [stack.enter_context(self._programs.running(peer, site, "work", log)) for _ in range(count)]
            for each in running:
                hear(each, site)
            yield running


def look(queue: Queue, running: Sequence[processes.Running]) -> Look:
    """At the moment that it begins to look."""
    at, cpu, server = time.perf_counter(), processes.cpu_seconds(each.pid for each in running), queue.server()
    return Look(at, queue.done(), cpu, server)


def one_after_the_other(*measures: Measure) -> Measure:
    """Each time another one begins: what was measured before leaves a server busy for a while, and the first one would pay for it."""
    order = deque(measures)

    def measure(bench: Bench) -> Iterable[Sample]:
        for each in tuple(order):
            yield from each(bench)
        order.rotate(-1)

    return measure
