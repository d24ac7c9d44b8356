"""Connections break, as when a server restarts or a network is away for a moment: what was asked meanwhile says that it failed, and
everything goes on by itself. A store without connections has nothing to break, and does all this, too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import pytest
from msgspec.structs import replace

from penstock.errors import PublishUnknown, StoreError, StoreUnavailable
from penstock.model.job import JobFilter
from penstock.model.outcome import Done
from penstock.testing.conformance.ground import ALL, QUEUE, Counts, Ground
from penstock.testing.conformance.readers import ORDERS, event, feed, log, reader, subscription
from penstock.testing.conformance.worker import ids

T = TypeVar("T")

TRIES = 20
"""As many connections as a handle has of one kind, all of which are broken."""
ROUNDS = 5


class ReconnectingConformance:
    async def test_puts_go_on_and_none_is_there_twice(self, store: Ground) -> None:
        """With ids of the caller's, so that what nobody was answered can be put again."""
        worker = await store.worker()
        for n in range(ROUNDS):
            puts = [asyncio.ensure_future(again(partial(store.put_given, f"m{n}-{m}"))) for m in range(10)]
            await asyncio.sleep(0)
            store.backend.cut()
            await asyncio.gather(*puts)
        jobs = (await store.store.inspect.jobs(JobFilter(queue=QUEUE), limit=ALL)).jobs
        assert sorted(job.id for job in jobs) == sorted(f"m{n}-{m}" for n in range(ROUNDS) for m in range(10))
        assert len(await again(lambda: worker.claim(100))) == ROUNDS * 10

    async def test_what_is_held_stays_held(self, store: Ground) -> None:
        worker, other = await store.worker(), await store.worker()
        await store.put("a", "b")
        (a,) = await worker.claim(1)
        store.backend.cut()
        assert ids(await again(other.claim)) == ["b"]
        assert await again(lambda: worker.settle(a, Done())) == []
        assert await store.status("a") == "done"

    async def test_an_open_transaction_is_undone_and_says_so(self, store: Ground) -> None:
        """Nothing of it, if its connection broke; all of it, if it did not."""
        tx = store.store.transaction()
        await tx.put([store.message("a")])
        await tx.publish(ORDERS, [event("published")])
        store.backend.cut()
        try:
            await tx.commit()
        except StoreError:
            kept = {False}
        except PublishUnknown:
            kept = {False, True}
        else:
            kept = {True}
        there = await again(lambda: store.store.inspect.job("a")) is not None
        assert there in kept
        assert len(await again(lambda: log(store).read("orders", 0, 10))) == there
        fresh = store.store.transaction()
        await fresh.put([store.message("after it")])
        await fresh.commit()
        assert await store.status("after it") == "unroutable"

    async def test_events_are_fed_once(self, store: Ground) -> None:
        shipping = await reader(store, subscription("shipping"))
        for n in range(ROUNDS):
            store.backend.cut()
            await again(partial(log(store).publish, ORDERS, [event(f"e{n}", given=True)]))
            store.backend.cut()
            await again(lambda: feed(store, "shipping"))
        came = await again(lambda: shipping.claim(queue="shipping"))
        assert [each.body.decode() for each in came] == [f"e{n}" for n in range(ROUNDS)]

    async def test_who_listens_hears_again(self, store: Ground) -> None:
        """It is woken again afterwards."""
        woken = asyncio.Event()
        undo = store.store.listen(woken.set)
        other = await store.open()
        try:
            store.backend.cut()
            woken.clear()
            await again(lambda: other.queue.put([replace(store.message("a"), given=True)]))
            await asyncio.wait_for(woken.wait(), 10)
        finally:
            undo()

    async def test_the_counters_are_right_afterwards(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put(*(f"m{n}" for n in range(ROUNDS)))
        for _ in range(ROUNDS):
            (delivery,) = await again(lambda: worker.claim(1))
            store.backend.cut()
            await again(partial(worker.settle, delivery, Done()))
        assert await store.counters() == await store.recount() == Counts(done=ROUNDS)


async def again(verb: Callable[[], Awaitable[T]]) -> T:
    """What a program does whose connection broke: the same once more."""
    for _ in range(TRIES):
        try:
            return await verb()
        except (StoreUnavailable, PublishUnknown):
            continue
    pytest.fail(f"the store did not come back in {TRIES} tries")
