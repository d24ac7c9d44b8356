"""Handlers that asked for `tx`."""

import asyncio
from typing import Any

import pytest

from penstock.errors import LeaseLost, PublishUnknown, StoreFull, StoreUnavailable
from penstock.model.delivery import Delivery
from penstock.model.events import Trouble
from penstock.model.outcome import Committed, Done, Failed, Outcome, Released, Snoozed
from penstock.ports.handler import Next
from penstock.ports.transaction import ambient
from tests.unit.engine.scripted import NOW, Bench, Task, soon


async def nothing(scope: Any, injected: Any) -> bytes:
    return b"result"


def transactional(function: Any = nothing, **facts: Any) -> Task:
    return Task(function, bare=False, transactional=True, **facts)


async def test_a_done_handler_settles_in_its_own_transaction() -> None:
    async with Bench(transactional()) as bench:
        delivery = bench.store.put()
        await bench.worker.idle()
        (tx,) = bench.store.transactions
        assert tx.committed is not None and not tx.rolled_back and not bench.queue.settled
        owner, (settlement,) = tx.committed
        assert owner == bench.worker.incarnation
        assert (settlement.delivery, settlement.outcome) == (delivery, Done(b"result"))
        assert bench.signals.points[-2:] == ["tx.before_commit", "tx.after_commit"]


async def test_the_transaction_is_there_for_the_handler_and_those_it_calls_only() -> None:
    seen: list[Any] = []

    async def handler(scope: Any, injected: Any) -> None:
        seen.append((scope.transaction, ambient.get()))

    async def outside(delivery: Delivery, following: Next) -> Outcome:
        outcome = await following(delivery)
        seen.append((outcome, ambient.get()))
        return outcome

    async with Bench(transactional(handler), stages=[outside]) as bench:
        bench.store.put()
        await bench.worker.idle()
        (tx,) = bench.store.transactions
        assert seen == [(tx, (bench.store, tx)), (Committed(), None)]


async def test_a_failure_rolls_back_and_is_settled_afterwards() -> None:
    async def handler(scope: Any, injected: Any) -> None:
        raise OSError("no")

    async with Bench(transactional(handler)) as bench:
        assert isinstance(await bench.run(), Failed)
        (tx,) = bench.store.transactions
        assert tx.rolled_back and tx.committed is None


async def test_a_transaction_that_the_store_could_not_begin_is_not_the_handlers_failure() -> None:
    async def handler(scope: Any, injected: Any) -> None:
        scope.transaction.refused = True
        raise ValueError("made of a StoreUnavailable") from StoreUnavailable("locked")

    async with Bench(transactional(handler)) as bench:
        assert await bench.run() == Snoozed(NOW + 1_000_000)
        (tx,) = bench.store.transactions
        assert tx.rolled_back and tx.committed is None
        assert [type(trouble.error) for trouble in bench.signals.of(Trouble)] == [ValueError]


@pytest.mark.parametrize(
    ("error", "end", "troubles"),
    [
        (LeaseLost("another's"), Released(), 0),
        (StoreFull("no space"), Snoozed(NOW + 1_000_000), 1),
        (PublishUnknown("no reply"), Snoozed(NOW + 1_000_000), 1),
    ],
)
async def test_a_commit_that_fails_for_the_stores_reasons(error: Exception, end: Outcome, troubles: int) -> None:
    async with Bench(transactional()) as bench:
        bench.store.commit_errors.append(error)
        assert await bench.run() == end
        assert bench.store.transactions[0].rolled_back
        assert [trouble.error for trouble in bench.signals.of(Trouble)] == [error] * troubles


async def test_a_commit_that_fails_for_the_datas_reasons_is_the_handlers_failure() -> None:
    async with Bench(transactional()) as bench:
        bench.store.commit_errors.append(ValueError("foreign key"))
        outcome = await bench.run()
        assert isinstance(outcome, Failed) and outcome.error.message == "foreign key"


async def test_a_rollback_that_fails_is_trouble_and_no_more() -> None:
    async with Bench(transactional()) as bench:
        bench.store.commit_errors.append(LeaseLost("another's"))
        bench.store.rollback_errors.append(StoreFull("again"))
        assert await bench.run() == Released()
        assert [trouble.where for trouble in bench.signals.of(Trouble)] == ["tx.rollback"]


async def test_a_commit_under_way_is_not_stopped() -> None:
    async with Bench(transactional(timeout=0.02)) as bench:
        bench.store.commit_gate = asyncio.Event()
        delivery = bench.store.put()
        await bench.watch.until(lambda: bench.store.committing)
        bench.queue.requests = [delivery.seq]
        await soon(passing(0.05))
        bench.store.commit_gate.set()
        await bench.worker.idle()
        assert bench.store.transactions[0].committed is not None and not bench.queue.settled


async def passing(seconds: float) -> None:
    """Until the loop's clock, which deadlines go by, has moved on."""
    passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(seconds, passed.set_result, None)
    await passed


async def test_a_timeout_rolls_back() -> None:
    async def handler(scope: Any, injected: Any) -> None:
        await asyncio.Event().wait()

    async with Bench(transactional(handler, timeout=0.02)) as bench:
        assert isinstance(await bench.run(), Failed)
        assert bench.store.transactions[0].rolled_back


async def test_an_injection_that_fails_is_a_failed_attempt_inside_the_transaction() -> None:
    class Broken(Task):
        async def inject(self) -> Any:
            raise OSError("no client")

    async with Bench(Broken(nothing, bare=False, transactional=True)) as bench:
        assert isinstance(await bench.run(), Failed)
        assert bench.store.transactions[0].rolled_back
