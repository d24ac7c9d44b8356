"""Handlers with `tx`: a user's row, a follow-up job and the acknowledgement in one durable transaction each."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.cli.bench.measures.bench import Bench
from penstock.cli.bench.measures.draining import drained
from penstock.cli.bench.plan import Sample, percentiles
from penstock.cli.bench.processes import bystander
from penstock.cli.bench.sites import AT_ONCE
from penstock.stores.sqlite.files import Folder

_ALONE = ("--queues", "bench")
"""Not the jobs that follow."""


def transactions(bench: Bench) -> Iterable[Sample]:
    """Raw: durable commits of the same rows; one after the other on a file, by 16 at once on a server."""
    count, sites = bench.plan.transactions, bench.sites
    raw = sites.raw.transactions(count)
    one = drained(bench, sites.filled("register", count), count, lambda watch: watch.users() >= count, *_ALONE, *sites.concurrency(AT_ONCE))
    cpu = None if one.cpu is None else 1000 * one.cpu / count
    yield Sample("tx", count / one.seconds, raw, cpu=cpu, rss=one.rss, depth=count, spent=one.spent)


def lock(bench: Bench) -> Iterable[Sample]:
    """How long others wait for the write lock meanwhile: at Penstock's lock file, and without knowing of it."""
    count = bench.plan.transactions
    site = bench.sites.filled("register", count)
    waits: dict[str, list[float]] = {}
    beside = bystander(site.name, Folder(site.name).path / "write.lock", waits)
    drained(bench, site, count, lambda watch: watch.users() >= count, *_ALONE, beside=beside)
    for line in ("queued", "foreign"):
        if waits[line]:
            p50, p99 = percentiles(waits[line])
            yield Sample(f"lock-{line}", p99, p50=p50, p99=p99, depth=count)
