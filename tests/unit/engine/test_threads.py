"""`def` handlers."""

import asyncio
import threading
from typing import Any

import pytest

from penstock.errors import ConfigurationError
from penstock.model.outcome import Done, Failed, Released
from penstock.ports.transaction import ambient
from tests.unit.engine.scripted import Bench, Task, soon


def thread(function: Any, **facts: Any) -> Task:
    return Task(function, isolation="thread", **facts)


async def test_it_runs_on_another_thread() -> None:
    async with Bench(thread(lambda: threading.current_thread().name.encode())) as bench:
        assert await bench.run() == Done(b"penstock-1")


@pytest.mark.parametrize(
    ("error", "type_"), [(OSError("no"), "OSError"), (SystemExit(1), "RuntimeError"), (StopIteration(), "RuntimeError")]
)
async def test_its_errors_are_failures(error: BaseException, type_: str) -> None:
    def handler() -> None:
        raise error

    async with Bench(thread(handler)) as bench:
        outcome = await bench.run()
        assert isinstance(outcome, Failed) and outcome.error.type == type_


async def test_as_many_at_a_time_as_there_are_threads() -> None:
    barrier = threading.Barrier(4, timeout=10)
    async with Bench(thread(barrier.wait), threads=4) as bench:
        for _ in range(16):
            bench.store.put()
        await soon(bench.worker.idle())
        assert all(isinstance(outcome, Done) for outcome in bench.queue.outcomes().values())


async def test_a_transaction_that_it_could_not_get_stops_the_worker_before_it_starts() -> None:
    bench = Bench(Task(lambda: None, transactional=True), thread(lambda: None, name="blocking", bare=False, transactional=True))
    bench.store.refuses_threads = True
    with pytest.raises(ConfigurationError, match="blocking: no transactions on threads"):
        await bench.worker.start()
    assert bench.store.leases.enrolled == [] and bench.store.transactions == []
    bench.store.refuses_threads = False
    async with bench:
        assert len(bench.store.leases.enrolled) == 1 and bench.store.transactions == []


async def test_its_transaction_is_there() -> None:
    seen: list[Any] = []
    task = thread(lambda scope, injected: seen.append((scope.transaction, ambient.get())), bare=False, transactional=True)
    async with Bench(task) as bench:
        bench.store.put()
        await soon(bench.worker.idle())
        (tx,) = bench.store.transactions
        assert seen == [(tx, (bench.store, tx))] and tx.committed is not None


class Told:
    """A handler that goes on until its cancellation is set."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = threading.Event()
        self._error = error

    def __call__(self, scope: Any, injected: Any) -> None:
        self.begun.set()
        pause = threading.Event()
        while not scope.cancellation.is_set():
            pause.wait(0.005)
        if self._error is not None:
            raise self._error


async def test_a_timeout_only_tells_it() -> None:
    async with Bench(thread(Told(), bare=False, timeout=0.02)) as bench:
        assert await bench.run() == Done()
    async with Bench(thread(Told(OSError()), bare=False, timeout=0.02)) as bench:
        outcome = await bench.run()
        assert isinstance(outcome, Failed) and outcome.error.type == "TimeoutError"


async def test_a_cancellation_only_tells_it() -> None:
    async with Bench(thread(Told(OSError()), bare=False)) as bench:
        delivery = bench.store.put()
        bench.queue.requests = [delivery.seq]
        bench.store.ring()
        assert await bench.outcome(delivery) == Released()


async def test_shutdown_tells_it_and_then_gives_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.engine.workshop.GRACE", 0.05)
    free, begun, ran = threading.Event(), asyncio.Event(), list[str]()
    loop = asyncio.get_running_loop()
    threads: list[threading.Thread] = []

    def stubborn() -> None:
        threads.append(threading.current_thread())
        loop.call_soon_threadsafe(begun.set)
        free.wait(30)

    bench = Bench(thread(stubborn), thread(lambda: ran.append("other"), name="other"), threads=1)
    await bench.worker.start()
    deliveries = [bench.store.put(), bench.store.put("other")]
    await soon(begun.wait(), bench.worker.stop(now=True))
    assert bench.queue.outcomes() == {delivery.seq: Released() for delivery in deliveries}
    free.set()
    (stubborn_one,) = threads
    stubborn_one.join(10)
    assert not stubborn_one.is_alive()
    assert not ran
