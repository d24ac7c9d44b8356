"""A dead worker's messages come back, each with a death more; a slow one finds that they are not its own any more."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from penstock.errors import LeaseLost
from penstock.model.delivery import SUSPECT_DEATHS
from penstock.model.limit import Limit
from penstock.model.outcome import Dead, Done, Released
from penstock.ports.queue import Claim
from penstock.testing.conformance.ground import QUEUE, TASK, Counts, Ground
from penstock.testing.conformance.worker import ids


class LeaseConformance:
    async def test_a_dead_workers_messages_come_back(self, store: Ground) -> None:
        dead, living = await store.worker(), await store.worker()
        await store.put("a", "b", "c")
        await dead.claim(2)
        rescued = await store.rescue(dead, by=living)
        assert (rescued.incarnation, rescued.released, rescued.dead) == (dead.incarnation, 2, 0)
        deliveries = await living.claim()
        assert ids(deliveries) == ["a", "b", "c"]
        assert [(delivery.attempt, delivery.deaths) for delivery in deliveries] == [(1, 1), (1, 1), (1, 0)]
        assert await store.happened("a") == ["died"]
        assert [each.worker for each in (await store.job("a")).history] == [f"{dead.incarnation:016x}"]
        assert await store.counters() == await store.recount() == Counts(running=3)

    async def test_who_beats_is_not_rescued(self, store: Ground) -> None:
        worker, rescuer = await store.worker(), await store.worker()
        await store.put("a")
        await worker.claim_one()
        (seen,) = await rescuer.store.leases.others(rescuer.incarnation)
        assert not seen.gone
        assert await worker.beat()
        assert await rescuer.store.leases.rescue(seen.incarnation, seen.beat) is None
        assert await store.status("a") == "running"

    async def test_who_beats_while_its_loop_is_blocked_is_not_rescued(self, store: Ground) -> None:
        worker, rescuer = await store.worker(), await store.worker()
        await store.put("a")
        held = await worker.claim_one()
        (seen,) = await rescuer.store.leases.others(rescuer.incarnation)
        assert await worker.beat("in crunch")
        assert await rescuer.store.leases.rescue(seen.incarnation, seen.beat) is None
        await worker.done(held)

    async def test_a_worker_is_rescued_once(self, store: Ground) -> None:
        dead, rescuer = await store.worker(), await store.worker()
        await store.put("a")
        await dead.claim_one()
        (seen,) = await rescuer.store.leases.others(rescuer.incarnation)
        assert await rescuer.store.leases.rescue(seen.incarnation, seen.beat) is not None
        assert await rescuer.store.leases.rescue(seen.incarnation, seen.beat) is None
        assert await rescuer.store.leases.others(rescuer.incarnation) == []
        assert (await rescuer.claim_one()).deaths == 1

    async def test_what_blocks_a_loop_is_shown_while_it_does(self, store: Ground) -> None:
        worker, other = await store.worker(), await store.worker()

        async def shown() -> dict[int, str | None]:
            return {view.incarnation: view.blocked for view in await other.store.inspect.workers()}

        for stack in ("in crunch", "in crunch", "in crunch, and then some"):
            assert await worker.beat(stack)
            assert await shown() == {worker.incarnation: stack, other.incarnation: None}
        assert await worker.beat()
        assert await shown() == {worker.incarnation: None, other.incarnation: None}
        assert await worker.beat("in crunch")
        await store.rescue(worker, by=other)
        assert await shown() == {other.incarnation: None}
        assert not await worker.beat("in crunch"), "it is dead, whatever its loop does"

    async def test_a_stale_settle_writes_nothing_and_tells_which(self, store: Ground) -> None:
        slow, quick = await store.worker(), await store.worker()
        await store.put("a", "b", "c", "d")
        a, b, c, d = await slow.claim()
        await slow.done(d)
        await store.rescue(slow, by=quick)
        held = await quick.claim()
        for outcome in (Done(b"stale"), store.failed(), store.snoozed(), Dead("stale"), Released()):
            assert await slow.settle([a, b, c], outcome) == [a.seq, b.seq, c.seq]
        await quick.end(held, Done(b"fresh"))
        assert await slow.settle([d, a], Done(b"stale")) == [d.seq, a.seq]
        assert [(await store.job(name)).result for name in "abc"] == [b"fresh"] * 3
        assert await store.counters() == await store.recount() == Counts(done=4)

    async def test_a_second_settle_is_stale(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a")
        delivery = await worker.claim_one()
        await worker.end(delivery, Done(b"first"))
        assert await worker.settle(delivery, Done(b"second")) == [delivery.seq]
        assert (await store.job("a")).result == b"first"

    async def test_a_worker_declared_dead_is_told(self, store: Ground) -> None:
        slow, quick = await store.worker(), await store.worker()
        await store.rescue(slow, by=quick)
        assert not await slow.beat()
        with pytest.raises(LeaseLost):
            await slow.ask()

    async def test_a_worker_declared_dead_leaves_without_effect(self, store: Ground) -> None:
        slow, quick = await store.worker(), await store.worker()
        await store.put("a")
        await slow.claim_one()
        await store.rescue(slow, by=quick)
        held = await quick.claim_one()
        await slow.leave()
        await quick.done(held)
        assert [each.incarnation for each in await store.store.inspect.workers()] == [quick.incarnation]

    async def test_a_worker_that_left_is_given_nothing(self, store: Ground) -> None:
        gone, living = await store.worker(), await store.worker()
        await store.put("a")
        await gone.leave()
        with pytest.raises(LeaseLost):
            await gone.claim()
        assert await living.drain() == ["a"]

    async def test_one_death_changes_nothing(self, store: Ground) -> None:
        dead, living = await store.worker(), await store.worker()
        begun = store.now()
        await store.put("a")
        await dead.claim_one()
        await store.rescue(dead, by=living)
        store.advance(1)
        await store.put("b")
        assert (await store.view()).oldest == begun
        assert ids(await living.claim()) == ["a", "b"]

    async def test_a_suspect_runs_alone(self, store: Ground) -> None:
        living = await store.worker()
        await _let_workers_die(store, 2, "killer")
        await store.put("a", "b")
        claimed = await living.ask(1)
        assert [ids(run) for run in claimed.runs] == [["a"]]
        assert claimed.suspects
        free = await store.worker()
        suspect = await free.claim_suspect()
        assert (suspect.job_id, suspect.deaths) == ("killer", 2)
        await free.done(suspect)
        assert not (await living.ask()).suspects
        assert await store.status("killer") == "done"

    async def test_the_third_death_is_the_last(self, store: Ground) -> None:
        await _let_workers_die(store, 3, "killer", hooks=[TASK])
        letter = await store.letter("killer")
        assert (letter.deaths, letter.body) == (3, b"killer")
        assert await store.happened("killer") == ["died", "died", "died"]
        rescuer = await store.worker(f"{TASK}.on_dead")
        assert [each.task for each in await rescuer.claim()] == [f"{TASK}.on_dead"]

    async def test_who_died_beside_a_killer_is_not_its_victim_for_long(self, store: Ground) -> None:
        """Both have two deaths; each runs alone, so only the killer gets its third."""
        await _let_workers_die(store, 2, "killer", "victim")
        worker = await store.worker()
        assert (await worker.claim_suspect()).job_id == "killer"
        other = await store.worker()
        await store.rescue(worker, by=other)
        assert await other.drain() == ["victim"]
        assert await store.status("killer") == "dead"

    async def test_a_suspect_that_is_met_is_worth_asking_again(self, store: Ground) -> None:
        """By who could have it: nobody rings, and nothing else waits."""
        await _let_workers_die(store, 2, "killer")
        worker = await store.worker()
        met = await worker.ask(suspects=True)
        assert (met.runs, met.more, met.suspects) == ([], True, True)
        assert (await worker.claim_suspect()).job_id == "killer"
        assert not (await worker.ask(suspects=True)).more

    async def test_a_suspect_comes_before_what_other_queues_have(self, store: Ground) -> None:
        await _let_workers_die(store, 2, "killer")
        worker = await store.worker()
        assert (await worker.ask()).suspects
        await store.put_in("busy", "other")
        claim = Claim(worker.incarnation, [("busy", 5), (QUEUE, 5)], worker.tasks, suspects=["busy", QUEUE])
        assert [ids(run) for run in (await worker.store.queue.claim(claim)).runs] == [["killer"]]

    async def test_a_suspect_comes_of_a_queue_that_there_was_no_room_for(self, store: Ground) -> None:
        """To hold nothing is rare: who does looks for it in all its queues, and in no others."""
        await _let_workers_die(store, 2, "killer")
        worker = await store.worker()
        assert (await worker.ask()).suspects
        await store.put_in("busy", "other")
        ask = Claim(worker.incarnation, [("busy", 1)], worker.tasks, suspects=["busy"])
        (other,) = (await worker.store.queue.claim(ask)).runs
        await worker.done(other)
        ask = Claim(worker.incarnation, [("busy", 1)], worker.tasks, suspects=["busy", QUEUE])
        assert [ids(run) for run in (await worker.store.queue.claim(ask)).runs] == [["killer"]]

    async def test_a_suspect_is_told_of_while_its_queues_limit_is_full(self, store: Ground) -> None:
        """Only who claims may know that it is full of its own."""
        await _let_workers_die(store, 2, "killer")
        worker = await store.worker(limits=[Limit(QUEUE, 1)])
        await store.put("a", "b")
        first = await worker.claim_one()
        assert first.job_id == "a" and (await worker.ask()).suspects
        await worker.done(first)
        assert (await worker.claim_suspect()).job_id == "killer"

    async def test_a_suspect_behind_a_limit_that_others_fill_does_not_wait(self, store: Ground) -> None:
        """To hold nothing would not end what they run. Though this worker holds jobs of another queue."""
        await _let_workers_die(store, 2, "killer")
        holder, other = await store.worker(limits=[Limit(QUEUE, 1)]), await store.worker()
        await store.put("a", "b")
        await store.put_in("busy", "c")
        a = await holder.claim_one()
        assert len(await other.claim(queue="busy")) == 1
        assert not (await other.ask()).suspects
        assert (await holder.ask()).suspects
        await holder.done(a)
        assert ids(await other.claim()) == ["b"]
        assert (await other.ask()).suspects
        assert not (await holder.ask()).suspects

    async def test_a_suspect_behind_a_closed_rate_does_not_wait(self, store: Ground) -> None:
        """To hold nothing would not open it."""
        await _let_workers_die(store, 2, "killer")
        worker = await store.worker(limits=[Limit(QUEUE, rate="1/min")])
        await store.put("a")
        a = await worker.claim_one()
        assert not (await worker.ask()).suspects
        await worker.done(a)
        blocked = await worker.ask(suspects=True)
        assert (blocked.runs, blocked.more, blocked.suspects) == ([], False, False)
        store.advance(60)
        assert (await worker.ask()).suspects
        assert (await worker.claim_suspect()).job_id == "killer"

    async def test_a_suspect_waits_for_the_token_that_comes_soon(self, store: Ground) -> None:
        """Though a backlog takes each one. Who holds nothing already is not told to ask again at once."""
        await _let_workers_die(store, 2, "killer")
        worker = await store.worker(limits=[Limit(QUEUE, rate="1/s")])
        await store.put("a", "b")
        for _ in "ab":
            taking = await worker.ask()
            assert (len(taking.runs), taking.suspects) == (1, True)
            await worker.done(taking.runs[0])
            blocked = await worker.ask(suspects=True)
            assert (blocked.runs, blocked.more, blocked.suspects) == ([], False, False)
            store.advance(1)
        assert (await worker.claim_suspect()).job_id == "killer"

    async def test_a_suspect_holds_its_key(self, store: Ground) -> None:
        await _let_workers_die(store, 2, "k1", key="k")
        busy, free = await store.worker(), await store.worker()
        await store.put("k2", key="k")
        await store.put("other")
        assert ids(await busy.claim()) == ["other"]
        suspect = await free.claim_suspect()
        assert suspect.job_id == "k1"
        assert await busy.claim() == []
        await free.done(suspect)
        assert ids(await busy.claim()) == ["k2"]

    async def test_a_run_ends_before_a_suspect(self, store: Ground) -> None:
        await store.put_message(store.message("k1", key="k"), delay=10)
        await _let_workers_die(store, 2, "k2", key="k")
        store.advance(10)
        worker = await store.worker()
        await store.put("k3", key="k")
        (k1,) = await worker.claim()
        assert k1.job_id == "k1"
        await worker.done(k1)
        suspect = await worker.claim_suspect()
        assert suspect.job_id == "k2"
        await worker.release(suspect)
        claimed = await worker.ask()
        assert (claimed.runs, claimed.suspects) == ([], True)
        assert await worker.drain() == ["k2", "k3"]

    async def test_a_suspect_that_fails_stays_one(self, store: Ground) -> None:
        await _let_workers_die(store, 2, "killer")
        worker = await store.worker()
        await worker.end(await worker.claim_suspect(), store.failed(5))
        store.advance(5)
        claimed = await worker.ask()
        assert (claimed.runs, claimed.suspects) == ([], True)
        assert (await worker.claim_suspect()).attempt == 2
        await store.rescue(worker, by=await store.worker())
        letter = await store.letter("killer")
        assert (letter.attempts, letter.deaths) == (1, 3)

    async def test_one_leader_a_role(self, store: Ground) -> None:
        first, second = await store.worker(), await store.worker()
        minute = 60_000_000
        assert await first.store.leases.lead("maintenance", first.incarnation, minute)
        assert not await second.store.leases.lead("maintenance", second.incarnation, minute)
        assert await second.store.leases.lead("another role", second.incarnation, minute)
        store.advance(59)
        assert await first.store.leases.lead("maintenance", first.incarnation, minute)
        store.advance(59)
        assert not await second.store.leases.lead("maintenance", second.incarnation, minute)
        store.advance(1)
        assert await second.store.leases.lead("maintenance", second.incarnation, minute)
        assert not await first.store.leases.lead("maintenance", first.incarnation, minute)

    async def test_a_leader_that_hangs_loses_its_role(self, store: Ground) -> None:
        """Though its thread beats. For how long it said last counts, also if that is shorter."""
        first, second = await store.worker(), await store.worker()
        for lease in (3_600_000_000, 60_000_000):
            assert await first.store.leases.lead("maintenance", first.incarnation, lease)
        store.advance(60)
        assert await first.beat()
        assert await second.store.leases.lead("maintenance", second.incarnation, 60_000_000)

    async def test_a_dead_leaders_role_is_free(self, store: Ground) -> None:
        first, second = await store.worker(), await store.worker()
        assert await first.store.leases.lead("maintenance", first.incarnation, 3_600_000_000)
        assert not await second.store.leases.lead("maintenance", second.incarnation, 3_600_000_000)
        await store.rescue(first, by=second)
        assert await second.store.leases.lead("maintenance", second.incarnation, 3_600_000_000)

    async def test_the_registry_shows_who_lives(self, store: Ground) -> None:
        worker, other = await store.worker("a", "b"), await store.worker("c")
        (first, _) = sorted(await store.store.inspect.workers(), key=lambda each: each.incarnation)
        assert (first.incarnation, first.tasks, first.running) == (worker.incarnation, ("a", "b"), 0)
        await other.leave()
        assert [each.incarnation for each in await store.store.inspect.workers()] == [worker.incarnation]


async def _let_workers_die(store: Ground, times: int, *names: str, key: str | None = None, hooks: Sequence[str] = ()) -> None:
    """Put these, and let workers die one after the other while each holds all of them that it can have."""
    await store.put(*names, key=key)
    rescuer = await store.worker(hooks=hooks)
    for deaths in range(times):
        dead = await store.worker(hooks=hooks)
        if deaths < SUSPECT_DEATHS:
            assert ids(await dead.claim(100)) == list(names)
        else:
            assert (await dead.claim_suspect()).job_id == names[0]
        await store.rescue(dead, by=rescuer)
    await rescuer.leave()
