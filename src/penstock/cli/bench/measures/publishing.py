"""Facts: publishing and appending them, reading them again, and bringing them to those who subscribed."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.cli.bench import processes
from penstock.cli.bench.measures.bench import Bench
from penstock.cli.bench.plan import Sample, percentiles
from penstock.cli.bench.sites import AT_ONCE, each

PROGRAM = "facts"
READERS = (1, 2, 8)
RATE = 100
BATCH = 1_000


def publish(bench: Bench) -> Iterable[Sample]:
    """One by one, by a hundred at once, by the thousand. Raw: the same events in transactions of that size."""
    plan = bench.plan
    yield _written(bench, "publish", "publish", plan.singles, 1)
    yield _written(bench, "publish-together", "together", min(plan.depth, 50_000), 100)
    yield _written(bench, "publish-many", "many", plan.depth, 1_000)


def append(bench: Bench) -> Iterable[Sample]:
    """One by one to one key, and a hundred writers of a key each. Raw: versions looked up and events written, so many at a time."""
    plan = bench.plan
    yield _appended(bench, "append", "append", plan.singles, 1)
    yield _appended(bench, "append-together", "race", min(plan.depth, 50_000), 100)


def writers(bench: Bench) -> Iterable[Sample]:
    """Sixteen writers that share nothing but the server, each event in a transaction of its own; and sixteen of one app. Raw: by
    sixteen connections."""
    count = min(bench.plan.depth, 20_000)
    raw = bench.sites.raw.appends(count, AT_ONCE)
    yield _said(bench, "writers", "apart", count, raw)
    yield _said(bench, "writers-together", "crew", count, raw)


def read(bench: Bench) -> Iterable[Sample]:
    """Keys of a hundred events, and all events there are, decoded."""
    for line, verb, per in (("read", "read", 100), ("replay", "replay", 1)):
        store = bench.sites.empty()
        said = processes.produce(store.url, verb, bench.plan.depth, program=PROGRAM)
        bench.sites.drop(store)
        yield Sample(line, bench.plan.depth / per / said["reading"], rss=said["rss"], fsyncs=0, depth=bench.plan.depth)


def deliver(bench: Bench) -> Iterable[Sample]:
    """What was published before is fed and handled by one process, for 1, 2 and 8 subscriptions."""
    for readers in READERS:
        yield delivered(bench, readers, max(1, bench.plan.depth // readers // BATCH) * BATCH)


def delivered(bench: Bench, readers: int, depth: int) -> Sample:
    whole = readers * depth
    store = bench.sites.empty()
    processes.produce(store.url, "many", depth, program=PROGRAM)
    with bench.sites.watch(store) as watch, processes.worker(store, app=f"{PROGRAM}:app", readers=readers) as running:

        def alive() -> None:
            processes.check(running, store)

        began = watch.until(lambda: watch.begun() > 0, alive)
        cpu = processes.cpu_seconds(pids := watch.workers())
        seconds = watch.until(lambda: watch.done() >= whole, alive) - began
        spent = processes.cpu_seconds(pids)
    bench.sites.drop(store)
    each = None if cpu is None or spent is None else 1000 * (spent - cpu) / whole
    return Sample(f"deliver-{readers}", whole / seconds, cpu=each, fsyncs=0, depth=whole)


def feed(bench: Bench) -> Iterable[Sample]:
    """CPU of a message that is fed, in µs."""
    store = bench.sites.empty()
    said = processes.produce(store.url, "feed", min(bench.plan.depth, 10_000), program=PROGRAM)
    bench.sites.drop(store)
    yield Sample("feed", 1e6 * said["feeding"] / said["fed"], fsyncs=0, depth=said["fed"])


def arrival(bench: Bench) -> Iterable[Sample]:
    """From a publisher to a handler in another process, at 100 events a second."""
    count = bench.plan.moments
    store = bench.sites.empty()
    with bench.sites.watch(store) as watch, processes.worker(store, app=f"{PROGRAM}:app") as running:
        watch.until(lambda: bool(watch.workers()), lambda: processes.check(running, store))
        said = processes.produce(store.url, "steady", count, RATE, program=PROGRAM)
        watch.until(lambda: len(watch.arrivals()) >= count, lambda: processes.check(running, store))
        begun = watch.arrivals()
    bench.sites.drop(store)
    p50, p99 = percentiles((begun[n] - called) / 1e9 for n, called, _ in said["sent"])
    yield Sample("arrival-p50", p50, p50=p50, p99=p99, fsyncs=count, depth=0)
    yield Sample("arrival-p99", p99, p50=p50, p99=p99, fsyncs=count, depth=0)


def _written(bench: Bench, line: str, verb: str, count: int, size: int) -> Sample:
    raw = bench.sites.raw.publishes(count, size)
    return _said(bench, line, verb, count, raw)


def _appended(bench: Bench, line: str, verb: str, count: int, size: int) -> Sample:
    raw = bench.sites.raw.appends(count, size)
    return _said(bench, line, verb, count, raw)


def _said(bench: Bench, line: str, verb: str, count: int, raw: float) -> Sample:
    store = bench.sites.empty()
    with bench.sites.watch(store) as watch:
        before = watch.spent()
        said = processes.produce(store.url, verb, count, program=PROGRAM)
        spent = each(before, watch.spent(), count)
    bench.sites.drop(store)
    p50, p99 = percentiles(said["waits"])
    cpu = 1000 * said["cpu"] / count
    return Sample(line, count / said["seconds"], raw, p50=p50, p99=p99, cpu=cpu, rss=said["rss"], depth=count, spent=spent)
