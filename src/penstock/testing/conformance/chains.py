"""Chains: what follows a job is enqueued in the transaction that writes its `Done`, once, and by no other end."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from msgspec import Raw
from msgspec.structs import replace

from penstock.errors import LeaseLost
from penstock.model.chain import Successor
from penstock.model.delivery import Delivery, Settlement
from penstock.model.message import Message, Options, decode_options, raw
from penstock.model.outcome import Dead, Done, Outcome
from penstock.testing.conformance.effects import effects, table
from penstock.testing.conformance.ground import QUEUE, TASK, Counts, Ground
from penstock.testing.conformance.options import with_options
from penstock.testing.conformance.worker import ids


class ChainConformance:
    async def test_what_follows_comes_with_the_result(self, store: Ground) -> None:
        worker = await store.worker()
        await store.queue.put([first(store, follow("b"))])
        job = await store.job("a")
        assert (job.previous, job.next) == (None, "b")
        assert await store.counters() == Counts(waiting=1)
        await worker.end(await worker.claim_one(), Done(b'{"total":7}'))
        b = await worker.claim_one()
        assert (b.job_id, b.body, b.attempt) == ("b", b"{}", 1)
        options = decode_options(b.options)
        assert (options.after, bytes(options.previous), options.missing) == ("a", b'{"total":7}', None)
        assert (await store.job("b")).previous == "a"
        assert await store.counters() == await store.recount() == Counts(running=1, done=1)

    async def test_it_has_options_of_its_own_and_its_times_count_from_then(self, store: Ground) -> None:
        worker = await store.worker()
        own = raw(msgspec.json.encode(Options(attempts=3)))
        chosen = follow("b", key="k", priority=9, delay=10_000_000, lifetime=60_000_000, headers=Raw(b'{"x":"y"}'), options=own)
        await store.queue.put([first(store, chosen)])
        store.advance(100)
        await worker.done(await worker.claim_one())
        assert await store.status("b") == "delayed"
        job = await store.job("b")
        assert (job.key, job.priority, job.due, job.expires) == ("k", 9, store.after(10), store.after(60))
        store.advance(10)
        b = await worker.claim_one()
        assert b.headers == {"x": "y"} and decode_options(b.options).attempts == 3

    async def test_chains_of_chains(self, store: Ground) -> None:
        worker = await store.worker()
        third = Options(then=raw(msgspec.json.encode(follow("c"))))
        await store.queue.put([first(store, follow("b", options=raw(msgspec.json.encode(third))))])
        seen: list[tuple[str, bytes]] = []
        for n in range(3):
            delivery = await worker.claim_one()
            seen.append((delivery.job_id, bytes(decode_options(delivery.options).previous)))
            await worker.end(delivery, Done(b"%d" % n))
        assert seen == [("a", b""), ("b", b"0"), ("c", b"1")]
        assert await worker.claim() == []

    async def test_a_result_that_was_not_kept_says_so(self, store: Ground) -> None:
        worker = await store.worker()
        await store.queue.put([first(store, follow("b"))])
        await worker.end(await worker.claim_one(), Done(unavailable="too large"))
        options = decode_options((await worker.claim_one()).options)
        assert (bytes(options.previous), options.missing) == (b"", "too large")

    async def test_retries_first(self, store: Ground) -> None:
        worker = await store.worker()
        await store.queue.put([first(store, follow("b"))])
        for outcome in (store.failed(0), store.snoozed(0)):
            await worker.end(await worker.claim_one(), outcome)
        assert await worker.drain() == ["a", "b"]

    @pytest.mark.parametrize("how", ["dead", "cancelled", "stopped", "expired"])
    async def test_another_end_starts_nothing(self, store: Ground, how: str) -> None:
        worker = await store.worker()
        await store.put_message(first(store, follow("b")), expires=10)
        if how == "dead":
            await worker.end(await worker.claim_one(), Dead("rejected"))
        elif how == "cancelled":
            await store.queue.cancel("a")
        elif how == "stopped":
            held = await worker.claim_one()
            await store.queue.cancel("a")
            await worker.release(held)
        else:
            store.advance(10)
        assert await worker.drain() == []
        assert await store.store.inspect.job("b") is None

    async def test_a_replayed_letter_that_is_done_starts_it(self, store: Ground) -> None:
        worker = await store.worker()
        await store.queue.put([first(store, follow("b"))])
        await worker.end(await worker.claim_one(), Dead("rejected"))
        await store.queue.replay(["a"])
        assert await worker.drain() == ["a", "b"]

    async def test_a_stale_end_starts_nothing(self, store: Ground) -> None:
        stale, other = await store.worker(), await store.worker()
        await store.queue.put([first(store, follow("b"))])
        held = await stale.claim_one()
        await store.rescue(stale, other)
        assert await stale.settle(held, Done()) == [held.seq]
        assert await store.store.inspect.job("b") is None
        again = await other.claim_one()
        await other.done(again)
        assert await other.settle(again, Done()) == [again.seq]
        assert await other.drain() == ["b"]

    async def test_it_commits_with_the_handlers_transaction(self, store: Ground) -> None:
        worker = await table(store)
        await store.queue.put([first(store, follow("b"))])
        held = await worker.claim_one()
        tx = store.store.transaction()
        await tx.execute("insert into effects values ('a')", {})
        await tx.commit((worker.incarnation, [Settlement(held, Done(b"1"))]))
        b = await worker.claim_one()
        assert (b.job_id, bytes(decode_options(b.options).previous)) == ("b", b"1")
        assert await effects(store) == ["a"]

    async def test_a_transaction_that_lost_its_lease_starts_nothing(self, store: Ground) -> None:
        worker, other = await table(store), await store.worker()
        await store.queue.put([first(store, follow("b"))])
        held = await worker.claim_one()
        await store.rescue(worker, other)
        tx = store.store.transaction()
        with pytest.raises(LeaseLost):
            await tx.commit((worker.incarnation, [Settlement(held, Done())]))
        assert await store.store.inspect.job("b") is None

    async def test_a_chosen_id_that_is_known_is_not_enqueued_again(self, store: Ground) -> None:
        worker = await store.worker()
        await store.queue.put([replace(store.message("b"), given=True)])
        await worker.done(await worker.claim_one())
        await store.queue.put([first(store, follow("b", given=True))])
        assert await worker.drain() == ["a"]
        assert await store.counters() == await store.recount() == Counts(done=2)

    @pytest.mark.parametrize("through", ["settle", "transaction"])
    async def test_it_wakes_who_listens(self, store: Ground, through: str) -> None:
        worker = await store.worker()
        await store.queue.put([first(store, follow("b"))])
        held = await worker.claim_one()
        woken = asyncio.Event()
        undo = (await store.open()).listen(woken.set)
        try:
            await _end(store, worker.incarnation, held, Done(), through)
            await asyncio.wait_for(woken.wait(), 10)
        finally:
            undo()
        assert ids(await worker.claim()) == ["b"]


async def _end(store: Ground, owner: int, held: Delivery, outcome: Outcome, through: str) -> None:
    if through == "settle":
        assert await store.queue.settle(owner, [Settlement(held, outcome)]) == []
    else:
        await store.store.transaction().commit((owner, [Settlement(held, outcome)]))


def follow(name: str, **more: object) -> Successor:
    return replace(Successor(name, QUEUE, TASK, Raw(b"{}")), **more)


def first(store: Ground, then: Successor) -> Message:
    return with_options(store.message("a"), Options(then=raw(msgspec.json.encode(then))))
