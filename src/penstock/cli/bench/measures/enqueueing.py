"""Putting jobs in: one by one, by a hundred at once, by the thousand."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.cli.bench.measures.bench import Bench
from penstock.cli.bench.plan import Sample, percentiles
from penstock.cli.bench.processes import produce
from penstock.cli.bench.sites import each


def enqueue(bench: Bench) -> Iterable[Sample]:
    """Each waits for the one before. Raw: a transaction for each."""
    yield _measured(bench, "enqueue", "single", bench.plan.singles, 1)


def concurrent(bench: Bench) -> Iterable[Sample]:
    """A hundred clients. Raw: a hundred jobs in each transaction."""
    yield _measured(bench, "concurrent", "concurrent", min(bench.plan.depth, 50_000), 100)


def many(bench: Bench) -> Iterable[Sample]:
    """`enqueue_many(1000)`, binding included. Raw: a thousand jobs in each transaction."""
    yield _measured(bench, "many", "many", bench.plan.depth, 1_000)


def _measured(bench: Bench, line: str, verb: str, count: int, size: int) -> Sample:
    raw = bench.sites.raw.puts(count, size)
    site = bench.sites.empty()
    with bench.sites.watch(site) as watch:
        before = watch.spent()
        said = produce(site.url, verb, count)
        after = watch.spent()
        synced = watch.puts() - 1  # the producer's first job only opened the store
    bench.sites.drop(site)
    p50, p99 = percentiles(said["waits"])
    return Sample(
        line,
        value=count / said["seconds"],
        raw=raw,
        p50=p50,
        p99=p99,
        cpu=1000 * said["cpu"] / count,
        rss=said["rss"],
        fsyncs=synced,
        depth=count,
        spent=each(before, after, count),
    )
