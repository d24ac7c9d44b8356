"""A worker's life: enrolment, being declared dead, starting and stopping."""

import asyncio
from random import Random

import pytest

from penstock.engine.program import WorkerOptions
from penstock.errors import ConfigurationError, LeaseLost, StoreUnavailable
from penstock.model.events import Trouble, WorkerRescued, WorkerStarted, WorkerStopped
from penstock.model.outcome import Done
from penstock.ports.leases import Seen
from tests.unit.engine.scripted import Bench, Task, soon


async def nothing() -> None:
    pass


async def test_who_it_says_it_is() -> None:
    tasks = Task(nothing, hook=True, aliases=("old",)), Task(nothing, name="other", queue="p")
    async with Bench(*tasks, app="shop", name="w1") as bench:
        (enrolment,) = bench.store.leases.enrolled
        assert (enrolment.app, enrolment.name, enrolment.queues) == ("shop", "w1", ("p", "q"))
        assert enrolment.tasks == ("old", "other", "task") and enrolment.hooks == ("old", "task")
        assert 0 <= enrolment.incarnation < 1 << 63 and enrolment.incarnation == bench.worker.incarnation


async def test_a_store_that_does_not_answer_is_told_to_who_starts_it() -> None:
    bench = Bench(Task(nothing))
    bench.store.leases.enrol_errors.append(StoreUnavailable("locked"))
    with pytest.raises(StoreUnavailable):
        await bench.worker.start()
    assert bench.worker.incarnation is None
    async with bench:
        assert await bench.run() == Done()


@pytest.mark.parametrize("by", ["claim", "beat"])
async def test_declared_dead_it_begins_anew(by: str) -> None:
    go, cancelled = asyncio.Event(), asyncio.Event()

    async def held() -> None:
        try:
            await go.wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with Bench(Task(held), Task(nothing, name="other"), lease=0.3) as bench:
        old = bench.worker.incarnation
        delivery = bench.store.put()
        await bench.watch.until(lambda: not bench.queue.ready)
        if by == "claim":
            bench.queue.claim_errors.append(LeaseLost("declared dead"))
            bench.store.ring()
        else:
            bench.store.leases.alive = lambda incarnation: incarnation != old
        bench.store.leases.enrol_errors.append(StoreUnavailable("locked"))
        await soon(cancelled.wait())
        await bench.watch.until(lambda: len(bench.store.leases.enrolled) == 2)
        assert await bench.run("other") == Done()
        assert bench.worker.incarnation != old and delivery.seq not in bench.queue.outcomes()
        assert set(bench.queue.owners) == {bench.worker.incarnation}
        assert [trouble.where for trouble in bench.signals.of(Trouble)] == ["renewal"]
        assert [event.incarnation for event in bench.signals.of(WorkerStarted)] == [old, bench.worker.incarnation]
        assert set(bench.store.leases.left) == {old}


async def test_a_worker_that_cannot_beat_gives_back_what_it_holds() -> None:
    go = asyncio.Event()

    def locked(incarnation: int) -> bool:
        raise StoreUnavailable("locked")

    async with Bench(Task(go.wait), lease=0.3) as bench:
        delivery = bench.store.put()
        await bench.watch.until(lambda: not bench.queue.ready)
        bench.store.leases.alive = locked
        await bench.outcome(delivery)
        bench.store.leases.alive = lambda incarnation: True
        go.set()
        assert isinstance(await bench.run(), Done)


async def test_what_a_dead_worker_held_is_claimed_at_once() -> None:
    async with Bench(Task(nothing)) as bench:
        await soon(bench.worker.idle())
        bench.queue.ready.append([bench.store.delivery()])
        bench.store.leases.seen = [Seen(7, 3, gone=True)]
        await bench.watch.until(lambda: bench.queue.settled)
        assert bench.signals.of(WorkerRescued)


async def test_aborted_it_settles_nothing_that_it_holds() -> None:
    cancelled = asyncio.Event()

    async def held() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with Bench(Task(held), concurrency=1) as bench:
        for _ in range(2):
            bench.store.put()
        await bench.watch.until(lambda: not bench.queue.ready)
        await soon(bench.worker.abort(), cancelled.wait())
        assert bench.worker.incarnation is None and not bench.queue.settled
        assert len(bench.signals.of(WorkerStarted)) == len(bench.signals.of(WorkerStopped)) == 1
        await soon(bench.worker.abort())
        await bench.worker.start()
        assert bench.worker.incarnation is not None


async def test_run_until_told() -> None:
    bench, stop = Bench(Task(nothing)), asyncio.Event()
    running = asyncio.ensure_future(bench.worker.run(stop))
    assert await bench.run() == Done()
    stop.set()
    await soon(running)
    assert len(bench.store.leases.left) == 1 and len(bench.signals.of(WorkerStopped)) == 1


async def test_idle_is_when_nothing_is_left() -> None:
    more = 50

    async def breeding() -> None:
        nonlocal more
        if more:
            more -= 1
            bench.store.put()

    async with Bench(Task(breeding)) as bench:
        bench.store.put()
        await soon(bench.worker.idle())
        assert len(bench.queue.settled) == 51
        await soon(bench.worker.idle())
    await soon(bench.worker.idle())


async def test_stop_does_not_wait_for_a_store_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.engine.line._LAST_WRITE", 0.05)
    bench = Bench(Task(nothing))
    await bench.worker.start()
    bench.queue.settle_errors.extend([StoreUnavailable("locked")] * 1000)
    bench.store.put()
    await bench.watch.until(lambda: bench.signals.of(Trouble))
    idle = asyncio.ensure_future(bench.worker.idle())
    await soon(bench.worker.stop(), idle)
    assert not bench.queue.settled


@pytest.mark.parametrize("seed", range(10))
async def test_start_and_stop_in_any_order(seed: int) -> None:
    random, bench, under_way = Random(seed), Bench(Task(nothing)), list[asyncio.Future[None]]()
    for _ in range(25):
        match random.choice(["start", "stop", "now", "put", "pass", "lose"]):
            case "start":
                under_way.append(asyncio.ensure_future(bench.worker.start()))
            case "stop":
                under_way.append(asyncio.ensure_future(bench.worker.stop()))
            case "now":
                under_way.append(asyncio.ensure_future(bench.worker.stop(now=True)))
            case "put":
                bench.store.put()
            case "lose":
                bench.queue.claim_errors.append(LeaseLost("declared dead"))
            case "pass":
                await asyncio.sleep(0)
    await soon(*under_way, bench.worker.stop())
    assert bench.worker.incarnation is None
    bench.queue.claim_errors.clear()
    await bench.worker.start()
    await soon(bench.worker.idle())
    await soon(bench.worker.stop(), bench.worker.stop())
    assert not bench.queue.ready and not bench.signals.of(Trouble)
    assert len(bench.signals.of(WorkerStarted)) == len(bench.signals.of(WorkerStopped))


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"lease": 0.0}, {"queues": (("q", 0),)}, {"threads": 0}, {"shutdown_timeout": -1.0}])
def test_wrong_options_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        WorkerOptions(**wrong)  # type: ignore[arg-type]
