"""Several messages of one key, one after the other."""

import asyncio
from typing import Any

import pytest

from penstock.model.events import Settled
from penstock.model.log import SubscriptionSpec, TopicSpec
from penstock.model.outcome import Dead, Done, Failed, Outcome, Released, Snoozed
from penstock.model.retry import Reject, Snooze
from tests.unit.engine.scripted import Bench, ScriptedTransaction, Task, soon


class Fatal(BaseException):
    """Of a handler's own, outside of `Exception`."""


def script(*ends: BaseException | None) -> Task:
    """The first message ends so, the second so, …"""
    left = list(ends)

    async def handler() -> None:
        if (error := left.pop(0)) is not None:
            raise error

    return Task(handler)


async def outcomes(task: Task, messages: int = 3, **options: Any) -> list[type[Outcome]]:
    async with Bench(task, **options) as bench:
        run = bench.store.put_run(*(bench.store.delivery(key="k") for _ in range(messages)))
        ends = [await bench.outcome(delivery) for delivery in run]
        assert [settlement.delivery.seq for settlement in bench.queue.settled] == [delivery.seq for delivery in run]
        await bench.worker.idle()
    return [type(outcome) for outcome in ends]


async def test_all_done_in_order() -> None:
    assert await outcomes(script(None, None, None)) == [Done, Done, Done]


@pytest.mark.parametrize(("error", "end"), [(OSError(), Failed), (Snooze(1), Snoozed)])
async def test_after_what_keeps_its_place_the_rest_is_released(error: Exception, end: type[Outcome]) -> None:
    assert await outcomes(script(None, error)) == [Done, end, Released]


@pytest.mark.parametrize(("error", "end"), [(OSError(), Failed), (Snooze(1), Snoozed), (Fatal(), Failed), (GeneratorExit(), Failed)])
async def test_what_ends_a_run_and_the_rest_of_it_are_one_batch(error: BaseException, end: type[Outcome]) -> None:
    """Whatever `on_error` waits for: a crash in between would leave the rest held while the failed one waits for its retry."""

    async def until_written(delivery: object, error: object) -> None:
        await bench.watch.until(lambda: bench.queue.settled)

    async with Bench(script(error), on_error=[until_written]) as bench:
        run = bench.store.put_run(*(bench.store.delivery(key="k") for _ in range(3)))
        assert [type(await bench.outcome(delivery)) for delivery in run] == [end, Released, Released]
        await bench.worker.idle()
        assert [event.count for event in bench.signals.of(Settled)] == [3]


@pytest.mark.parametrize("error", [Fatal(), asyncio.CancelledError(), GeneratorExit()])
async def test_a_hook_that_raises_anything_keeps_nothing(error: BaseException) -> None:
    async def hook(delivery: object, told: object) -> None:
        raise error

    async with Bench(script(Reject("no"), None, None), on_error=[hook]) as bench:
        run = bench.store.put_run(*(bench.store.delivery(key="k") for _ in range(3)))
        assert [type(await bench.outcome(delivery)) for delivery in run] == [Dead, Done, Done]
        await bench.worker.idle()


async def test_after_a_dead_one_the_next_goes_on() -> None:
    assert await outcomes(script(Reject("no"), None, None)) == [Dead, Done, Done]


async def test_after_a_dead_one_that_holds_its_key_the_rest_is_released() -> None:
    reads = (SubscriptionSpec("task", TopicSpec("orders"), "shop", hold=True),), ()
    assert await outcomes(script(None, Reject("no"), None), reads=reads) == [Done, Dead, Released]


async def test_one_at_a_time() -> None:
    now = most = 0

    async def handler() -> None:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await asyncio.sleep(0)
        now -= 1

    assert await outcomes(Task(handler), 8) == [Done] * 8
    assert most == 1


async def test_a_message_cancelled_behind_another_does_not_begin() -> None:
    go = asyncio.Event()
    async with Bench(Task(go.wait)) as bench:
        first, second, third = bench.store.put_run(*(bench.store.delivery(key="k") for _ in range(3)))
        await bench.watch.until(lambda: not bench.queue.ready)
        bench.queue.requests = [second.seq]
        bench.store.ring()
        await bench.watch.until(lambda: bench.queue.asked_for_requests)
        go.set()
        assert isinstance(await bench.outcome(first), Done)
        assert await bench.outcome(second) == await bench.outcome(third) == Released()


async def test_a_timeout_of_one_is_not_held_against_the_next() -> None:
    stages = iter([asyncio.Event().wait, asyncio.Event().wait])

    async def handler() -> None:
        try:
            await next(stages)()
        except asyncio.CancelledError:
            raise Reject("too slow") from None

    assert await outcomes(Task(handler, timeout=0.02), 2) == [Dead, Dead]


async def test_a_transaction_waits_until_those_before_it_are_written() -> None:
    async def handler() -> None:
        pass

    async def transactional(scope: object, injected: object) -> None:
        pass

    async with Bench(Task(handler), Task(transactional, name="tx", bare=False, transactional=True)) as bench:
        bench.queue.gate = asyncio.Event()
        bench.store.put_run(bench.store.delivery(key="k"), bench.store.delivery("tx", key="k"))
        await bench.watch.until(lambda: "settle.begin" in bench.signals.points)
        await until_idle_loop()
        assert not bench.store.transactions  # not even begun: an open one could keep the settler from writing
        bench.queue.gate.set()
        await soon(bench.watch.until(lambda: bool(bench.store.transactions)))
        (tx,) = bench.store.transactions
        await soon(bench.watch.until(lambda: is_committed(tx)))


def is_committed(tx: ScriptedTransaction) -> bool:
    return tx.committed is not None


async def until_idle_loop() -> None:
    for _ in range(50):
        await asyncio.sleep(0)
