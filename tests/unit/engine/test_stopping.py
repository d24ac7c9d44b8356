"""Handlers that are told to stop: deadlines, cancellation, shutdown."""

import asyncio
from typing import Any

import pytest

from penstock.model.events import WorkerStopped
from penstock.model.message import Options
from penstock.model.outcome import Dead, Done, Failed, Outcome, Released, Snoozed
from penstock.model.retry import Reject, Retry, Snooze
from tests.unit.engine.scripted import NOW, Bench, Task, soon


class Held:
    """A handler that says when it has begun, and goes on when it is let."""

    def __init__(self, on_cancel: BaseException | None = None, swallow: bool = False) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.ended = asyncio.Event()
        self.stopped = 0
        self._on_cancel = on_cancel
        self._swallow = swallow

    async def __call__(self) -> None:
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            if self._on_cancel is not None:
                raise self._on_cancel from None
            if not self._swallow:
                raise
        finally:
            self.ended.set()


async def timed_out(handler: Any, **facts: Any) -> Outcome:
    async with Bench(Task(handler, timeout=0.02)) as bench:
        return await bench.run(**facts)


async def test_a_timeout_is_a_failed_attempt() -> None:
    outcome = await timed_out(Held())
    assert isinstance(outcome, Failed) and outcome.error.type == "TimeoutError"
    assert outcome.error.message == "task ran longer than its timeout"


async def test_an_error_of_the_clean_up_is_still_the_timeout() -> None:
    outcome = await timed_out(Held(OSError("clean-up")))
    assert isinstance(outcome, Failed) and outcome.error.type == "TimeoutError" and "clean-up" in outcome.error.traceback


async def test_a_handler_may_answer_its_timeout() -> None:
    assert await timed_out(Held(Snooze(1))) == Snoozed(NOW + 1_000_000)
    assert isinstance(await timed_out(Held(Reject("slow"))), Dead)
    assert await timed_out(Held(swallow=True)) == Done()


async def test_the_message_has_its_own_timeout() -> None:
    async with Bench(Task(Held(), timeout=3600.0)) as bench:
        held = bench.store.put()
        outcome = await bench.run(options=Options(timeout=0.01))
        assert isinstance(outcome, Failed) and held.seq not in bench.queue.outcomes()


async def test_many_deadlines_are_all_met() -> None:
    async with Bench(Task(Held())) as bench:
        slow = [bench.store.put(options=Options(timeout=0.001 * n)) for n in range(50, 0, -1)]
        assert all([isinstance(await bench.outcome(delivery), Failed) for delivery in slow])


async def test_a_cancelled_job_is_released_to_the_store_that_ends_it() -> None:
    handler = Held()
    async with Bench(Task(handler, retry=Retry(attempts=1))) as bench:
        delivery = bench.store.put()
        await soon(handler.begun.wait())
        bench.queue.requests = [delivery.seq]
        bench.store.ring()
        assert await bench.outcome(delivery) == Released()


async def test_a_handler_that_swallows_its_cancellation_is_done() -> None:
    handler = Held(swallow=True)
    async with Bench(Task(handler)) as bench:
        delivery = bench.store.put()
        await soon(handler.begun.wait())
        bench.queue.requests = [delivery.seq]
        assert await bench.outcome(delivery) == Done()
        assert handler.stopped == 1


async def test_what_waits_for_a_slot_is_cancelled_without_running() -> None:
    handler = Held()
    async with Bench(Task(handler), concurrency=1) as bench:
        bench.store.put()
        await soon(handler.begun.wait())
        waiting = bench.store.put()
        await bench.watch.until(lambda: not bench.queue.ready)
        bench.queue.requests = [waiting.seq]
        bench.store.ring()
        assert await bench.outcome(waiting) == Released()
        handler.go.set()


async def test_a_pause_gives_back_what_has_not_started() -> None:
    handler = Held()
    async with Bench(Task(handler), concurrency=1) as bench:
        running = bench.store.put()
        await soon(handler.begun.wait())
        waiting = bench.store.put()
        await bench.watch.until(lambda: not bench.queue.ready)
        bench.store.settings.stopped = frozenset({"q"})
        bench.store.ring()
        assert await bench.outcome(waiting) == Released()
        handler.go.set()
        assert await bench.outcome(running) == Done()


async def test_shutdown_lets_end_what_runs_and_gives_back_the_rest() -> None:
    handler = Held()
    async with Bench(Task(handler), concurrency=1) as bench:
        running = bench.store.put()
        await soon(handler.begun.wait())
        waiting = bench.store.put()
        await bench.watch.until(lambda: not bench.queue.ready)
        stopping = asyncio.ensure_future(bench.worker.stop())
        assert await bench.outcome(waiting) == Released()
        assert not stopping.done()
        handler.go.set()
        await soon(stopping)
        assert await bench.outcome(running) == Done()
        assert bench.store.leases.left == [bench.store.leases.enrolled[0].incarnation]
        assert bench.signals.of(WorkerStopped)[0].released == 1


async def test_after_its_patience_it_stops_what_runs() -> None:
    handler = Held()
    bench = Bench(Task(handler), shutdown_timeout=0.0)
    await bench.worker.start()
    delivery = bench.store.put()
    await soon(handler.begun.wait(), bench.worker.stop())
    assert bench.queue.outcomes() == {delivery.seq: Released()}


async def test_a_second_stop_now_does_not_wait() -> None:
    handler = Held(OSError("while stopping"))
    bench = Bench(Task(handler), shutdown_timeout=3600.0)
    await bench.worker.start()
    delivery = bench.store.put()
    await soon(handler.begun.wait())
    first = asyncio.ensure_future(bench.worker.stop())
    await asyncio.sleep(0)
    await soon(bench.worker.stop(now=True), first)
    assert bench.queue.outcomes() == {delivery.seq: Released()}


async def test_the_rest_of_a_run_is_released_at_shutdown() -> None:
    handler = Held()
    bench = Bench(Task(handler), concurrency=1)
    await bench.worker.start()
    run = bench.store.put_run(*(bench.store.delivery(key="k") for _ in range(3)))
    await soon(handler.begun.wait())
    waiting = bench.store.put()
    await bench.watch.until(lambda: not bench.queue.ready)
    stopping = asyncio.ensure_future(bench.worker.stop())
    assert await bench.outcome(waiting) == Released()
    handler.go.set()
    await soon(stopping)
    assert [bench.queue.outcomes()[delivery.seq] for delivery in run] == [Done(), Released(), Released()]


async def test_a_handler_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.engine.workshop.GRACE", 0.05)
    go = asyncio.Event()
    begun = asyncio.Event()
    ended = asyncio.Event()

    async def stubborn() -> None:
        while not go.is_set():
            try:
                begun.set()
                await go.wait()
            except asyncio.CancelledError:
                continue
        ended.set()

    bench = Bench(Task(stubborn))
    await bench.worker.start()
    delivery = bench.store.put()
    await soon(begun.wait(), bench.worker.stop(now=True))
    assert bench.queue.outcomes() == {delivery.seq: Released()}
    go.set()
    await soon(ended.wait())
    assert len(bench.queue.settled) == 1


async def test_one_that_outlived_its_timeout_is_told_again_at_shutdown() -> None:
    handler = Held(swallow=True)
    told_twice = asyncio.Event()

    async def twice() -> None:
        await handler()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told_twice.set()
            raise

    bench = Bench(Task(twice, timeout=0.01), shutdown_timeout=0.0)
    await bench.worker.start()
    delivery = bench.store.put()
    async with asyncio.timeout(10):
        await handler.ended.wait()
    await soon(bench.worker.stop())
    outcome = bench.queue.outcomes()[delivery.seq]
    assert told_twice.is_set() and isinstance(outcome, Failed) and outcome.error.type == "TimeoutError"
