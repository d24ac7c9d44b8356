"""A worker with little to do: how soon it begins what comes, and what it costs when nothing comes."""

from __future__ import annotations

import time
from collections.abc import Iterable

from penstock.cli.bench import processes
from penstock.cli.bench.measures.bench import Bench
from penstock.cli.bench.plan import Sample, percentiles

RATE = 100
_SETTLED = 0.5
"""Seconds after its start in which a worker is not idle yet."""


def latency(bench: Bench) -> Iterable[Sample]:
    """From one process to another at 100 jobs a second, by the clock that both read."""
    count = bench.plan.moments
    store = bench.sites.empty()
    with bench.sites.watch(store) as watch, processes.worker(store) as running:
        watch.until(lambda: bool(watch.workers()), lambda: processes.check(running, store))
        said = processes.produce(store.url, "steady", count, RATE)
        watch.until(lambda: len(watch.moments()) >= count, lambda: processes.check(running, store))
        begun = watch.moments()
    bench.sites.drop(store)
    for line, since in (("return", 2), ("call", 1)):
        p50, p99 = percentiles((begun[sent[0]] - sent[since]) / 1e9 for sent in said["sent"])
        yield Sample(f"latency-{line}-p50", p50, p50=p50, p99=p99, fsyncs=count, depth=0)
        yield Sample(f"latency-{line}-p99", p99, p50=p50, p99=p99, fsyncs=count, depth=0)


def idle(bench: Bench) -> Iterable[Sample]:
    """In percent of a core."""
    store = bench.sites.empty()
    with bench.sites.watch(store) as watch, processes.worker(store) as running:
        watch.until(lambda: bool(watch.workers()), lambda: processes.check(running, store))
        time.sleep(_SETTLED)
        pids = watch.workers()
        began, cpu = time.perf_counter(), processes.cpu_seconds(pids)
        time.sleep(bench.plan.idle)
        spent = processes.cpu_seconds(pids)
        seconds = time.perf_counter() - began
        rss = processes.peak_mebibytes(pids)
    bench.sites.drop(store)
    if cpu is not None and spent is not None:
        yield Sample("idle", 100 * (spent - cpu) / seconds, rss=rss, depth=0)
