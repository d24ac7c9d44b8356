"""A handle that is closed writes what it accepted, and takes nothing any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from penstock.errors import StoreUnavailable, TransactionClosed
from penstock.model.job import JobFilter
from penstock.model.message import Placed
from penstock.model.outcome import Done
from penstock.testing.conformance.ground import ALL, QUEUE, Counts, Ground
from penstock.testing.conformance.readers import ORDERS, event, handled, log, publish, reader, subscription

MANY = 50


class ClosingConformance:
    async def test_puts_that_nobody_waited_for(self, store: Ground) -> None:
        leaving = await store.open()
        await leaving.queue.put([store.message("first")])
        puts = [asyncio.ensure_future(leaving.queue.put([store.message(f"m{n}")])) for n in range(MANY)]
        await asyncio.sleep(0)
        await leaving.close()
        assert await asyncio.gather(*puts) == [[Placed(f"m{n}")] for n in range(MANY)]
        jobs = (await store.store.inspect.jobs(JobFilter(queue=QUEUE), limit=ALL)).jobs
        assert sorted(job.id for job in jobs) == sorted(["first", *(f"m{n}" for n in range(MANY))])

    async def test_events_that_nobody_waited_for(self, store: Ground) -> None:
        shipping = await reader(store, subscription("shipping"))
        leaving = await store.open()
        await publish(store, "first")
        calls = [asyncio.ensure_future(log(leaving).publish(ORDERS, [event(f"e{n}")])) for n in range(MANY)]
        await asyncio.sleep(0)
        await leaving.close()
        assert await asyncio.gather(*calls) == [[Placed(f"e{n}")] for n in range(MANY)]
        assert sorted(await handled(store, shipping, "shipping")) == sorted(["first", *(f"e{n}" for n in range(MANY))])

    async def test_ends_that_nobody_waited_for(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put(*(f"m{n}" for n in range(MANY)))
        ends = [asyncio.ensure_future(worker.settle(delivery, Done())) for delivery in await worker.claim(MANY)]
        await asyncio.sleep(0)
        await worker.store.close()
        assert await asyncio.gather(*ends) == [[]] * MANY
        assert await store.counters() == await store.recount() == Counts(done=MANY)

    @pytest.mark.parametrize("verb", ["put", "publish", "claim", "look", "read", "transaction"])
    async def test_a_closed_handle_says_so(self, store: Ground, verb: str) -> None:
        """And not one of the others is any the worse."""
        worker = await store.worker()
        tx = worker.store.transaction()
        await worker.store.close()
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "put": lambda: worker.store.queue.put([store.message("too late")]),
            "publish": lambda: log(worker.store).publish(ORDERS, [event("too late")]),
            "claim": worker.ask,
            "look": lambda: worker.store.inspect.job("too late"),
            "read": lambda: log(worker.store).read("orders", 0, 10),
            "transaction": lambda: tx.execute("select 1", {}),
        }
        with pytest.raises((StoreUnavailable, TransactionClosed), match="closed"):
            await calls[verb]()
        await store.put("in time")
        assert [job.id for job in (await store.store.inspect.jobs(JobFilter(queue=QUEUE), limit=ALL)).jobs] == ["in time"]

    async def test_who_closes_at_once_and_again(self, store: Ground) -> None:
        leaving = await store.open()
        await leaving.queue.put([store.message("first")])
        put = asyncio.ensure_future(leaving.queue.put([store.message("a")]))
        await asyncio.sleep(0)
        await asyncio.gather(*(leaving.close() for _ in range(10)))
        await leaving.close()
        assert await put == [Placed("a")]
        assert await store.status("a") == "unroutable"

    async def test_a_transaction_that_was_left_open_is_undone(self, store: Ground) -> None:
        leaving = await store.open()
        tx = leaving.transaction()
        await tx.execute("create table left_open (what text)", {})
        await tx.put([store.message("left open")])
        await leaving.close()
        assert await store.store.inspect.job("left open") is None
        again = store.store.transaction()
        await again.execute("create table left_open (what text)", {})
        await again.rollback()
