"""Running what waits: a worker process of its own, from the first claim to the last settle."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from penstock.cli.bench import processes
from penstock.cli.bench.measures.bench import Bench
from penstock.cli.bench.plan import Sample, Spent
from penstock.cli.bench.sites import KEYS, Site, Watch, each


@dataclass(frozen=True)
class Drained:
    seconds: float
    cpu: float | None
    server: float | None
    """CPU of the database's own processes."""
    rss: float | None
    spent: Spent | None


def drain(bench: Bench) -> Iterable[Sample]:
    """One process. Raw: claim and settle of 256 at a time, a transaction each."""
    depth = bench.plan.depth
    raw = bench.sites.raw.drain("nothing", depth)
    one = drained(bench, bench.sites.filled("nothing", depth), depth, lambda watch: watch.done() >= depth)
    yield Sample("drain", depth / one.seconds, raw, fsyncs=0, depth=depth, spent=one.spent)
    if one.cpu is not None:
        yield Sample("cpu", 1000 * one.cpu / depth, depth=depth)
    if one.cpu is not None and one.server is not None:
        yield Sample("cpu-all", 1000 * (one.cpu + one.server) / depth, depth=depth)
    if one.rss is not None:
        yield Sample("rss", one.rss, depth=depth)


def two(bench: Bench) -> Iterable[Sample]:
    """Two processes on one store. Raw: as for one."""
    depth = bench.plan.depth
    raw = bench.sites.raw.drain("nothing", depth)
    both = drained(bench, bench.sites.filled("nothing", depth), depth, lambda watch: watch.done() >= depth, workers=2)
    yield _sample("two", depth, both, raw)


def batch(bench: Bench) -> Iterable[Sample]:
    """A batch handler that gets up to 256 rows a call, in one process. Raw: as for single jobs."""
    depth = bench.plan.depth
    raw = bench.sites.raw.drain("together", depth)
    one = drained(bench, bench.sites.filled("together", depth), depth, lambda watch: watch.done() >= depth)
    yield _sample("batch", depth, one, raw)


def keyed(bench: Bench) -> Iterable[Sample]:
    """Jobs of a thousand keys, in turn."""
    depth = bench.plan.depth
    raw = bench.sites.raw.drain("nothing", depth, KEYS)
    one = drained(bench, bench.sites.filled("nothing", depth, KEYS), depth, lambda watch: watch.done() >= depth)
    yield _sample("keyed", depth, one, raw)


def _sample(line: str, depth: int, run: Drained, raw: float) -> Sample:
    cpu = None if run.cpu is None else 1000 * run.cpu / depth
    return Sample(line, depth / run.seconds, raw, cpu=cpu, rss=run.rss, fsyncs=0, depth=depth, spent=run.spent)


def drained(
    bench: Bench,
    site: Site,
    count: int,
    finished: Callable[[Watch], bool],
    *options: str,
    workers: int = 1,
    beside: AbstractContextManager[None] | None = None,
) -> Drained:
    """Start `workers` processes on a paused queue of `count` jobs, let them go, and watch from outside until it is `finished`.

    What is `beside` runs from the moment they are ready to the moment it is finished.
    """
    with bench.sites.watch(site) as watch:
        watch.pause()
        with processes.worker(site, workers, *options) as running:

            def alive() -> None:
                processes.check(running, site)

            watch.until(lambda: len(watch.workers()) == workers, alive)
            pids = watch.workers()
            with beside or nullcontext():
                cpu, server, before = processes.cpu_seconds(pids), watch.server(), watch.spent()
                watch.resume()
                began = watch.until(lambda: watch.begun() > 0, alive)
                seconds = watch.until(lambda: finished(watch), alive) - began
            spent, served, after = processes.cpu_seconds(pids), watch.server(), watch.spent()
            took = None if cpu is None or spent is None else spent - cpu
            behind = None if server is None or served is None else served - server
            peak = processes.peak_mebibytes(pids)
        told = watch.spent()  # backends that have ended have told of all their commits
    bench.sites.drop(site)
    if before is not None and after is not None and told is not None:
        after = Spent(after.wal, told.commits)
    return Drained(seconds, took, behind, peak, each(before, after, count))
