"""Limits of a queue hold over all workers: how many run at once, and how often one may start."""

from __future__ import annotations

import asyncio
from random import Random

from penstock.model.delivery import Delivery
from penstock.model.limit import Limit
from penstock.model.outcome import Done, Outcome, Released
from penstock.testing.conformance.ground import QUEUE, TASK, Ground
from penstock.testing.conformance.worker import Worker, ids


class LimitConformance:
    async def test_only_so_many_run_at_once_over_all_workers(self, store: Ground) -> None:
        one, other = await limited(store, concurrency=3), await store.worker()
        await store.put(*"abcde")
        assert ids(await one.claim(2)) == ["a", "b"]
        held = await other.claim()
        assert ids(held) == ["c"]
        blocked = await one.ask()
        assert (blocked.runs, blocked.more, blocked.next_due) == ([], False, None)
        await other.done(held)
        assert ids(await one.claim()) == ["d"]
        assert (await store.counters()).running == 3

    async def test_claims_at_the_same_time_do_not_start_too_many(self, store: Ground) -> None:
        workers = [await limited(store, concurrency=5), *[await store.worker() for _ in range(3)]]
        await store.put(*(f"m{n}" for n in range(40)))
        claimed = await asyncio.gather(*(worker.claim() for worker in workers))
        assert sum(map(len, claimed)) == 5

    async def test_the_running_ones_of_a_dead_worker_do_not_count(self, store: Ground) -> None:
        dead, other = await limited(store, concurrency=2), await store.worker()
        await store.put(*"abc")
        assert len(await dead.claim()) == 2
        assert await other.claim() == []
        await store.rescue(dead, by=other)
        assert len(await other.claim()) == 2

    async def test_what_a_worker_that_leaves_gives_back_does_not_count(self, store: Ground) -> None:
        leaving, other = await limited(store, concurrency=1), await store.worker()
        await store.put(*"ab")
        await leaving.claim_one()
        assert await other.claim() == []
        await leaving.leave()
        assert len(await other.claim()) == 1

    async def test_a_retry_counts_only_while_it_runs(self, store: Ground) -> None:
        worker = await limited(store, concurrency=1)
        await store.put(*"ab")
        await worker.end(await worker.claim_one(), store.failed(10))
        b = await worker.claim_one()
        store.advance(10)
        assert await worker.claim() == []
        await worker.done(b)
        assert ids(await worker.claim()) == ["a"]

    async def test_the_end_of_one_wakes_whoever_waits(self, store: Ground) -> None:
        holder, other = await limited(store, concurrency=1), await store.worker()
        await store.put(*"ab")
        first = await holder.claim_one()
        assert await other.claim() == []
        rang = asyncio.Event()
        deafen = other.store.listen(rang.set)
        await asyncio.sleep(0)
        rang.clear()
        await holder.done(first)
        async with asyncio.timeout(10):
            await rang.wait()
        deafen()
        assert ids(await other.claim()) == ["b"]

    async def test_a_transaction_that_ends_one_lets_the_next_start(self, store: Ground) -> None:
        worker = await limited(store, concurrency=1)
        await store.put(*"ab")
        delivery = await worker.claim_one()
        await worker.commit(delivery, Done())
        assert ids(await worker.claim()) == ["b"]

    async def test_of_a_key_one_is_taken_at_a_time(self, store: Ground) -> None:
        """They run one after the other, so the others of a run would be counted without running."""
        worker = await limited(store, concurrency=2)
        await store.put("a1", "a2", "a3", key="a")
        await store.put("b1", "b2", key="b")
        runs = (await worker.ask()).runs
        assert [ids(run) for run in runs] == [["a1"], ["b1"]]
        await worker.done([*runs[0], *runs[1]])
        assert [ids(run) for run in (await worker.ask()).runs] == [["a2"], ["b2"]]

    async def test_no_more_is_taken_than_starts_at_once(self, store: Ground) -> None:
        worker = await limited(store, concurrency=10)
        await store.put(*"abc")
        claimed = await worker.ask(slots=2)
        assert len(claimed.runs) == 2 and claimed.starved == [QUEUE] and not claimed.more
        assert (await worker.ask(slots=0)).starved == [QUEUE]
        assert len((await worker.ask(slots=1)).runs) == 1
        assert (await worker.ask(slots=0)).starved == []

    async def test_a_queue_without_limits_is_taken_ahead(self, store: Ground) -> None:
        worker = await limited(store, queue="other", concurrency=1)
        await store.put(*"abc")
        assert len((await worker.ask(slots=0)).runs) == 3

    async def test_a_rate_is_counted_over_all_workers(self, store: Ground) -> None:
        one, other = await limited(store, rate="20/s"), await store.worker()
        await store.put(*(f"m{n}" for n in range(10)))
        assert len(await one.claim(1)) == 1
        assert len(await other.claim()) == 1
        blocked = await one.ask()
        assert (blocked.runs, blocked.more, blocked.next_due) == ([], False, store.after(0.05))
        store.advance(0.049)
        assert await other.claim() == []
        store.advance(0.001)
        assert len(await other.claim()) == 1
        assert await one.claim() == []

    async def test_what_is_not_used_does_not_add_up_beyond_the_burst(self, store: Ground) -> None:
        worker = await limited(store, rate="100/s")
        await store.put(*(f"m{n:02}" for n in range(40)))
        store.advance(3_600)
        assert len(await worker.claim(40)) == 10
        store.advance(0.05)
        assert len(await worker.claim(40)) == 5

    async def test_a_slow_rate_starts_one_at_a_time(self, store: Ground) -> None:
        worker = await limited(store, rate="5/min")
        await store.put(*"abc")
        assert len(await worker.claim()) == 1
        assert (await worker.ask()).next_due == store.after(12)
        store.advance(11.9)
        assert await worker.claim() == []
        store.advance(0.1)
        assert len(await worker.claim()) == 1

    async def test_what_a_rate_keeps_back_is_due_when_it_opens(self, store: Ground) -> None:
        """And what it does not keep back is not due later, whatever else it waits for."""
        inspect, worker = store.store.inspect, await limited(store, rate="5/min")
        await store.put(*"abc")
        assert await inspect.next_due(store.now()) is None
        await worker.done(await worker.claim_one())
        opens = store.after(12)
        await store.put_delayed("later", 30)
        assert await inspect.next_due(store.now()) == await inspect.next_due(opens - 1) == opens
        store.advance(12)
        assert await inspect.next_due(store.now()) == store.after(18)
        await worker.done(await worker.claim_one())
        await store.store.settings.write(f"queue:{QUEUE}", "paused", "true", "operator")
        assert await inspect.next_due(store.now()) == store.after(18)
        await store.store.settings.write(f"queue:{QUEUE}", "paused", None, "operator")
        assert await inspect.next_due(store.now()) == store.after(12)
        store.advance(12)
        await worker.done(await worker.claim_one())
        assert await inspect.next_due(store.now()) == store.after(6)
        store.advance(6)
        assert await worker.claim() == []
        assert await inspect.next_due(store.now()) == store.after(6)

    async def test_a_suspect_that_a_rate_keeps_back_is_due_when_it_opens(self, store: Ground) -> None:
        holder = await limited(store, rate="5/min")
        await store.put("poison")
        for _ in range(2):
            dying = await store.worker()
            await dying.claim_one()
            await store.rescue(dying, by=holder)
            store.advance(12)
        assert await holder.claim() == []
        assert await store.store.inspect.next_due(store.now()) is None
        await store.put("a")
        await holder.done(await holder.claim_one())
        assert await store.store.inspect.next_due(store.now()) == store.after(12)

    async def test_tokens_of_a_fast_rate_are_collected(self, store: Ground) -> None:
        """Who stops at each instant would stop a million times a second."""
        worker = await limited(store, rate="1000/s")
        await store.put(*(f"m{n:03}" for n in range(120)))
        assert len(await worker.claim(120)) == 100
        assert await store.store.inspect.next_due(store.now()) == store.after(0.01)
        store.advance(0.01)
        assert len(await worker.claim(120)) == 10

    async def test_a_retry_takes_its_turn_again(self, store: Ground) -> None:
        worker = await limited(store, rate="1/s")
        await store.put("a")
        await worker.end(await worker.claim_one(), store.failed(0))
        assert await worker.claim() == []
        store.advance(1)
        assert (await worker.claim_one()).attempt == 2

    async def test_both_limits_hold(self, store: Ground) -> None:
        """While too many run no time is named: an end may come at any moment."""
        worker = await limited(store, concurrency=1, rate="1/s")
        await store.put(*"abc")
        a = await worker.claim_one()
        store.advance(5)
        assert (await worker.ask()).next_due is None
        await worker.done(a)
        await worker.done(await worker.claim_one())
        assert (await worker.ask()).next_due == store.after(1)

    async def test_the_priority_decides_what_starts(self, store: Ground) -> None:
        worker = await limited(store, concurrency=1)
        await store.put("low", priority=1)
        await store.put("high", priority=9)
        assert ids(await worker.claim()) == ["high"]

    async def test_a_suspect_counts_too(self, store: Ground) -> None:
        holder = await limited(store, concurrency=1)
        await store.put("poison")
        for _ in range(2):
            dying = await store.worker()
            await dying.claim_one()
            await store.rescue(dying, by=holder)
        await store.put("other")
        other = await holder.claim_one()
        lone = await store.worker()
        blocked = await lone.ask(suspects=True)
        assert (blocked.runs, blocked.suspects, other.job_id) == ([], False, "other")
        await holder.done(other)
        assert (await lone.claim_suspect()).job_id == "poison"

    async def test_a_pause_holds_whatever_the_limits_allow(self, store: Ground) -> None:
        worker = await limited(store, concurrency=1)
        await store.put("a")
        await store.store.settings.write(f"queue:{QUEUE}", "paused", "true", "operator")
        assert await worker.claim() == []
        await store.store.settings.write(f"queue:{QUEUE}", "paused", None, "operator")
        assert len(await worker.claim()) == 1

    async def test_an_operator_wins_over_the_code_while_it_runs(self, store: Ground) -> None:
        worker = await limited(store, concurrency=1)
        await store.put(*"abcd")
        await worker.claim_one()
        await store.store.settings.write(f"queue:{QUEUE}", "concurrency", "3", "operator")
        assert len(await worker.claim()) == 2
        await store.worker(limits=[Limit(QUEUE, concurrency=9)])
        assert await worker.claim() == []
        assert (await store.view()).concurrency == 3
        await store.store.settings.write(f"queue:{QUEUE}", "concurrency", None, "operator")
        assert len(await worker.claim()) == 1
        assert (await store.view()).concurrency == 9

    async def test_an_operator_limits_a_queue_of_which_the_code_says_nothing(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put(*"abc")
        await store.store.settings.write(f"queue:{QUEUE}", "rate", '"1/s"', "operator")
        assert len(await worker.claim()) == 1
        assert (await store.view()).rate == "1/s"

    async def test_the_worker_that_started_last_says_what_the_limits_are(self, store: Ground) -> None:
        old = await limited(store, concurrency=1, rate="1/d")
        await store.put(*"abc")
        await limited(store, concurrency=2)
        view = await store.view()
        assert (view.concurrency, view.rate) == (2, None)
        assert len(await old.claim()) == 2
        await store.worker()
        assert (await store.view()).concurrency == 2
        await store.worker(limits=[])
        assert (await store.view()).concurrency is None

    async def test_who_waits_for_a_slot_is_told_which_queues_are_limited(self, store: Ground) -> None:
        """So that a worker gives back what it took ahead before; what it takes since then is marked."""
        worker = await limited(store, queue="reports", rate="1/s")
        await store.put("a")
        assert not (await worker.claim_one()).admitted
        await store.store.settings.write(f"queue:{QUEUE}", "concurrency", "2", "operator")
        assert (await worker.store.settings.rules()).limited == {QUEUE, "reports"}
        await store.put("b")
        assert (await worker.claim_one()).admitted

    async def test_however_workers_come_and_go_never_too_many_run(self, store: Ground) -> None:
        chance, most = Random(1), 3
        rescuer = await limited(store, concurrency=most)
        held = {await store.worker(): list[Delivery]() for _ in range(3)}
        await store.put(*(f"m{n:03}" for n in range(120)))
        for key in "ab":
            await store.put(*(f"{key}{n:02}" for n in range(20)), key=key)
        for _ in range(200):
            await _step(store, held, rescuer, chance)
            assert (await store.counters()).running == sum(map(len, held.values())) <= most
        assert await store.counters() == await store.recount()
        assert (await store.counters()).done > 20

    async def test_a_setting_that_cannot_be_read_stops_nothing(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a")
        await store.store.settings.write(f"queue:{QUEUE}", "rate", '"often"', "operator")
        assert len(await worker.claim()) == 1

    async def test_a_batch_takes_many_for_a_slot(self, store: Ground) -> None:
        worker = await store.worker(TASK, "plain")
        await store.put(*(f"m{n}" for n in range(30)))
        await store.put("p1", "p2", "p3", task="plain")
        assert len((await worker.ask(2, batches={TASK: 10})).runs) == 20
        assert len((await worker.ask(2, batches={TASK: 10})).runs) == 11

    async def test_a_batch_of_a_limited_queue_counts_each_of_its_messages(self, store: Ground) -> None:
        worker = await limited(store, concurrency=15)
        await store.put(*(f"m{n}" for n in range(30)))
        assert len((await worker.ask(4, slots=1, batches={TASK: 10})).runs) == 10
        assert len((await worker.ask(4, slots=4, batches={TASK: 10})).runs) == 5

    async def test_a_batch_gets_one_message_of_a_key(self, store: Ground) -> None:
        worker = await store.worker(TASK, "plain")
        await store.put("a1", "a2", key="a", task="plain")
        await store.put("a3", "a4", key="a")
        await store.put("b1", "b2", key="b")
        runs = (await worker.ask(batches={TASK: 10})).runs
        assert [ids(run) for run in runs] == [["a1", "a2"], ["b1"]]
        await worker.done([*runs[0], *runs[1]])
        assert [ids(run) for run in (await worker.ask(batches={TASK: 10})).runs] == [["a3"], ["b2"]]

    async def test_a_batch_is_settled_in_one_transaction(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put(*"abc")
        await worker.commit(await worker.claim(), Done())
        assert [await store.status(name) for name in "abc"] == ["done"] * 3

    async def test_a_batch_of_which_one_is_lost_is_rolled_back(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put(*"abc")
        held = await worker.claim()
        await worker.release(held[1])
        assert not await worker.commits(held, Done())
        assert [await store.status(name) for name in "abc"] == ["running", "waiting", "running"]


async def _step(store: Ground, held: dict[Worker, list[Delivery]], rescuer: Worker, chance: Random) -> None:
    """One of the workers claims, ends one of its jobs, dies or leaves."""
    worker = chance.choice(sorted(held, key=lambda each: each.incarnation))
    what = chance.random()
    if what < 0.5:
        held[worker] += await worker.claim(chance.randint(1, 5))
    elif what < 0.9 and held[worker]:
        ends: list[Outcome] = [Done(), Done(), Done(), store.failed(1), store.snoozed(0), Released()]
        await worker.end(held[worker].pop(0), chance.choice(ends))
        store.advance(1)
    elif what >= 0.9:
        await (store.rescue(worker, by=rescuer) if what < 0.95 else worker.leave())
        del held[worker]
        held[await store.worker(store=worker.store)] = []


async def limited(store: Ground, *, queue: str = QUEUE, concurrency: int | None = None, rate: str | None = None) -> Worker:
    """A worker whose code says so."""
    return await store.worker(limits=[Limit(queue, concurrency, rate)])
