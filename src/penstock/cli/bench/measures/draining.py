"""Running what waits: a worker process of its own, from the first claim to the last settle."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from penstock.cli.bench import processes
from penstock.cli.bench.measures.bench import Bench
from penstock.cli.bench.plan import Sample
from penstock.cli.bench.raw import script_of_drain
from penstock.cli.bench.stores import Watch

KEYS = 1_000


@dataclass(frozen=True)
class Drained:
    seconds: float
    cpu: float | None
    rss: float | None


def drain(bench: Bench) -> Iterable[Sample]:
    """One process. Raw: claim and settle of 256 at a time, a transaction each."""
    depth = bench.plan.depth
    raw = bench.raw("drain", lambda: bench.stores.filled("nothing", depth), lambda store: script_of_drain(store, depth))
    one = drained(bench, bench.stores.filled("nothing", depth), 1, lambda watch: watch.done() >= depth)
    yield Sample("drain", depth / one.seconds, raw, fsyncs=0, depth=depth)
    if one.cpu is not None:
        yield Sample("cpu", 1000 * one.cpu / depth, depth=depth)
    if one.rss is not None:
        yield Sample("rss", one.rss, depth=depth)


def two(bench: Bench) -> Iterable[Sample]:
    """Two processes on one file. Raw: as for one."""
    depth = bench.plan.depth
    raw = bench.raw("drain", lambda: bench.stores.filled("nothing", depth), lambda store: script_of_drain(store, depth))
    both = drained(bench, bench.stores.filled("nothing", depth), 2, lambda watch: watch.done() >= depth)
    yield _sample("two", depth, both, raw)


def batch(bench: Bench) -> Iterable[Sample]:
    """A batch handler that gets up to 256 rows a call, in one process. Raw: as for single jobs."""
    depth = bench.plan.depth
    raw = bench.raw("batch", lambda: bench.stores.filled("together", depth), lambda store: script_of_drain(store, depth))
    one = drained(bench, bench.stores.filled("together", depth), 1, lambda watch: watch.done() >= depth)
    yield _sample("batch", depth, one, raw)


def keyed(bench: Bench) -> Iterable[Sample]:
    """Jobs of a thousand keys, in turn."""
    depth = bench.plan.depth
    raw = bench.raw("keyed", lambda: bench.stores.filled("nothing", depth, KEYS), lambda store: script_of_drain(store, depth))
    one = drained(bench, bench.stores.filled("nothing", depth, KEYS), 1, lambda watch: watch.done() >= depth)
    yield _sample("keyed", depth, one, raw)


def _sample(line: str, depth: int, run: Drained, raw: float) -> Sample:
    cpu = None if run.cpu is None else 1000 * run.cpu / depth
    return Sample(line, depth / run.seconds, raw, cpu=cpu, rss=run.rss, fsyncs=0, depth=depth)


def drained(
    bench: Bench, store: Path, count: int, finished: Callable[[Watch], bool], beside: AbstractContextManager[None] | None = None
) -> Drained:
    """Start `count` processes on a paused queue, let them go, and watch from outside until it is `finished`.

    What is `beside` runs from the moment they are ready to the moment it is finished.
    """
    with Watch(store) as watch:
        watch.pause()
        with processes.worker(store, count) as running:

            def alive() -> None:
                processes.check(running, store)

            watch.until(lambda: len(watch.workers()) == count, alive)
            pids = watch.workers()
            with beside or nullcontext():
                cpu = processes.cpu_seconds(pids)
                watch.resume()
                began = watch.until(lambda: watch.begun() > 0, alive)
                watch.until(lambda: finished(watch), alive)
                seconds = time.perf_counter() - began
            spent = processes.cpu_seconds(pids)
            drained = Drained(seconds, None if cpu is None or spent is None else spent - cpu, processes.peak_mebibytes(pids))
    bench.stores.drop(store)
    return drained
