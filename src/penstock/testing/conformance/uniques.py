"""Unique names: one job holds one; who comes meanwhile gets that job, and nothing is stored."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from penstock.model.clock import SECOND
from penstock.model.job import Status
from penstock.model.message import Message, Options, Placed
from penstock.model.outcome import Dead, Done, Outcome
from penstock.model.unique import Hold, Until
from penstock.testing.conformance.ground import Counts, Ground
from penstock.testing.conformance.options import with_options
from penstock.testing.conformance.worker import ids


class UniqueConformance:
    async def test_who_comes_meanwhile_gets_the_holder(self, store: Ground) -> None:
        assert await put(store, "a") == Placed("a")
        assert await put(store, "b") == Placed("a", created=False)
        assert await store.counters() == await store.recount() == Counts(waiting=1)
        unique = (await store.job("a")).unique
        assert unique is not None and (unique.name, unique.until, unique.holder) == ("n", "done", "a")

    async def test_names_do_not_meet(self, store: Ground) -> None:
        assert (await put(store, "a")).created
        assert (await put(store, "b", name="other")).created
        await store.put("c")
        assert ids(await (await store.worker()).claim()) == ["a", "b", "c"]

    async def test_a_name_wanted_twice_in_one_put_is_the_firsts(self, store: Ground) -> None:
        messages = [store.message("first"), *(named(store, job) for job in "abc")]
        placed = await store.queue.put(messages)
        assert placed == [Placed("first"), Placed("a"), Placed("a", created=False), Placed("a", created=False)]
        assert await store.counters() == await store.recount() == Counts(waiting=2)

    async def test_many_at_once_are_one(self, store: Ground) -> None:
        handles = [store.store, *[await store.open() for _ in range(3)]]
        puts = [handle.queue.put([named(store, f"{job} of {n}")]) for n, handle in enumerate(handles) for job in range(10)]
        placed = [one for some in await asyncio.gather(*puts) for one in some]
        assert sum(one.created for one in placed) == 1
        assert len({one.id for one in placed}) == 1
        assert await store.counters() == await store.recount() == Counts(waiting=1)

    async def test_a_known_id_is_asked_before_the_name(self, store: Ground) -> None:
        given = replace(named(store, "a"), given=True)
        assert await store.queue.put([given]) == [Placed("a")]
        again = replace(named(store, "a", name="other"), given=True)
        assert await store.queue.put([again, again]) == [Placed("a", created=False)] * 2
        assert (await put(store, "b", name="other")).created, "a put that stored nothing took a name"

    async def test_an_id_that_comes_twice_in_one_put_takes_no_second_name(self, store: Ground) -> None:
        first, again = (replace(named(store, "a", name=name), given=True) for name in ("one", "other"))
        plain = replace(store.message("b"), given=True)
        placed = await store.queue.put([first, again, first, plain, replace(named(store, "b"), given=True), plain])
        assert placed == [Placed("a"), *[Placed("a", created=False)] * 2, Placed("b"), *[Placed("b", created=False)] * 2]
        assert (await put(store, "c")).created and (await put(store, "d", name="other")).created
        assert await store.counters() == await store.recount() == Counts(waiting=4)

    async def test_an_id_that_a_name_refused_may_come_again_with_another(self, store: Ground) -> None:
        await put(store, "holder")
        refused, next_one = (replace(named(store, "a", name=name), given=True) for name in ("n", "other"))
        placed = await store.queue.put([refused, next_one, next_one, refused])
        assert placed == [Placed("holder", False), Placed("a"), *[Placed("a", False)] * 2]
        assert not (await put(store, "b", name="other")).created

    @pytest.mark.parametrize("how", ["done", "dead", "cancelled", "stopped", "expired", "swept"])
    async def test_any_end_lets_it_go(self, store: Ground, how: str) -> None:
        worker = await store.worker()
        await store.put_message(named(store, "a"), expires=10)
        if how in ("done", "dead", "stopped"):
            held = await worker.claim_one()
            assert how != "stopped" or await store.queue.cancel("a") == "requested"
            ends: dict[str, Outcome] = {"done": Done(), "dead": Dead("rejected"), "stopped": store.failed()}
            await worker.end(held, ends[how])
        elif how == "cancelled":
            assert await store.queue.cancel("a") == "cancelled"
        else:
            store.advance(10)
            assert await (store.queue.expire(10) if how == "swept" else worker.claim()) in (1, [])
        ended: Status = {"stopped": "cancelled", "swept": "expired"}.get(how, how)  # type: ignore[assignment]
        assert await store.status("a") == ended
        assert await put(store, "b") == Placed("b")

    async def test_a_retry_a_snooze_and_a_release_keep_it(self, store: Ground) -> None:
        worker = await store.worker()
        await put(store, "a")
        await worker.end(await worker.claim_one(), store.failed(0))
        assert not (await put(store, "b")).created
        await worker.end(await worker.claim_one(), store.snoozed(0))
        assert not (await put(store, "b")).created
        await worker.release(await worker.claim_one())
        assert not (await put(store, "b")).created

    async def test_a_rescue_keeps_it_and_a_poisoned_death_does_not(self, store: Ground) -> None:
        rescuer = await store.worker()
        await put(store, "a")
        for deaths in range(3):
            assert not (await put(store, "b")).created, f"free after {deaths} deaths"
            victim = await store.worker()
            await (victim.claim_one() if deaths < 2 else victim.claim_suspect())
            await store.rescue(victim, rescuer)
        assert await store.status("a") == "dead"
        assert await put(store, "b") == Placed("b")

    async def test_until_start_ends_at_the_first_claim_once(self, store: Ground) -> None:
        worker = await store.worker()
        await put(store, "a", until="start")
        assert not (await put(store, "b", until="start")).created
        await worker.end(await worker.claim_one(), store.failed(0))
        assert await put(store, "b", until="start") == Placed("b"), "a retry holds it again"
        for delivery in await worker.claim():
            await worker.end(delivery, store.failed(60))
        assert (await put(store, "c", until="start")).created
        store.advance(60)
        again = [each for each in await worker.claim() if each.job_id == "a"]
        await worker.done(again)
        assert (await store.job("c")).status == "running"

    async def test_an_old_holder_does_not_let_go_for_the_new_one(self, store: Ground) -> None:
        worker = await store.worker()
        await put(store, "a", until="start")
        a = await worker.claim_one()
        await put(store, "b", until="start")
        await worker.done(a)
        assert await put(store, "c", until="start") == Placed("b", created=False)

    @pytest.mark.parametrize("how", ["cancelled", "expired", "met too late"])
    async def test_until_start_ends_without_a_start(self, store: Ground, how: str) -> None:
        await store.put_message(named(store, "a", until="start"), expires=10)
        if how == "cancelled":
            await store.queue.cancel("a")
        else:
            store.advance(10)
            assert await (store.queue.expire(10) if how == "expired" else (await store.worker()).claim()) in (1, [])
        assert (await put(store, "b", until="start")).created

    @pytest.mark.parametrize("until", ["done", "start"])
    async def test_a_window_holds_it_whatever_happens(self, store: Ground, until: Until) -> None:
        worker = await store.worker()
        await put(store, "a", until=until, window=60)
        store.advance(30)
        await worker.done(await worker.claim_one())
        assert await put(store, "b", until=until, window=60) == Placed("a", created=False)
        store.advance(29.9)
        assert not (await put(store, "b", until=until, window=60)).created
        store.advance(0.1)
        assert await put(store, "b", until=until, window=60) == Placed("b")

    async def test_a_window_that_is_over_does_not_end_the_hold(self, store: Ground) -> None:
        worker = await store.worker()
        await put(store, "a", window=60)
        store.advance(61)
        assert not (await put(store, "b")).created
        await worker.done(await worker.claim_one())
        assert (await put(store, "b")).created

    async def test_it_outlives_the_history(self, store: Ground) -> None:
        worker = await store.worker()
        await put(store, "a", window=60)
        await worker.done(await worker.claim_one())
        store.advance(10)
        assert await store.queue.prune(100, age=5 * SECOND, keep=0) == 1
        assert await put(store, "b") == Placed("a", created=False)
        store.advance(50)
        await store.queue.prune(100, age=0, keep=0)
        assert await put(store, "b") == Placed("b")

    async def test_a_transaction_is_answered_at_once_and_takes_it_only_with_its_commit(self, store: Ground) -> None:
        for ends in ("rolled back", "committed"):
            tx = store.store.transaction()
            assert await tx.put([named(store, f"a {ends}")]) == [Placed(f"a {ends}")]
            assert await tx.put([named(store, "b")]) == [Placed(f"a {ends}", created=False)]
            await (tx.commit() if ends == "committed" else tx.rollback())
        assert await put(store, "c") == Placed("a committed", created=False)

    async def test_a_joined_transaction_takes_it(self, store: Ground) -> None:
        store.needs(store.backend.capabilities.joins, "joining a user's connection")
        connection = store.connect()
        connection.execute("create table users (name text)")
        connection.execute("insert into users values ('sam')")
        joined = store.store.join(connection.driver)
        assert await joined.put([named(store, "a"), named(store, "b")]) == [Placed("a"), Placed("a", created=False)]
        connection.commit()
        assert await put(store, "c") == Placed("a", created=False)


class UniqueReplayConformance:
    async def test_a_replayed_letter_takes_its_name_again(self, store: Ground) -> None:
        await bury(store, "a")
        assert await store.queue.replay(["a"]) == ["a"]
        assert await put(store, "b") == Placed("a", created=False)
        await (await store.worker()).drain()
        assert await put(store, "b") == Placed("b")

    async def test_a_letter_whose_name_is_anothers_stays_as_it_was(self, store: Ground) -> None:
        await bury(store, "a")
        before = await store.letter("a")
        await store.put("plain")
        worker = await store.worker()
        await worker.end(await worker.claim_one(), Dead("rejected"))
        await put(store, "b")
        assert await store.queue.replay(["a", "plain"]) == ["plain"]
        assert await store.letter("a") == before
        unique = (await store.job("a")).unique
        assert unique is not None and unique.holder == "b"
        assert await store.counters() == await store.recount() == Counts(waiting=2, dead=1)
        assert "a" not in await worker.drain()
        assert await store.queue.replay(["a"]) == ["a"]

    async def test_of_two_letters_of_one_name_the_older_comes(self, store: Ground) -> None:
        await bury(store, "a")
        await bury(store, "b")
        assert await store.queue.replay(["b", "a"]) == ["a"]
        assert await store.status("b") == "dead"

    async def test_a_replay_within_its_own_window(self, store: Ground) -> None:
        await bury(store, "a", window=60)
        assert not (await put(store, "b")).created
        assert await store.queue.replay(["a"]) == ["a"]
        store.advance(61)
        assert await put(store, "b") == Placed("a", created=False), "its window was over, and the job it holds is not"
        await (await store.worker()).drain()
        assert await put(store, "b") == Placed("b")

    async def test_a_name_held_until_the_start_was_had(self, store: Ground) -> None:
        await bury(store, "a", until="start")
        await put(store, "b", until="start")
        assert await store.queue.replay(["a"]) == ["a"]
        assert await put(store, "c", until="start") == Placed("b", created=False)

    async def test_a_discarded_letter_leaves_the_name_to_its_holder(self, store: Ground) -> None:
        await bury(store, "a")
        await put(store, "b")
        assert await store.queue.discard(["a"]) == ["a"]
        assert await store.status("a") == "cancelled"
        assert await put(store, "c") == Placed("b", created=False)


def named(store: Ground, job: str, name: str = "n", until: Until = "done", window: float = 0) -> Message:
    hold = Hold(f"send/{name}", until, round(window * SECOND))
    return with_options(replace(store.message(job), unique=hold), Options(unique=hold))


async def put(store: Ground, job: str, name: str = "n", until: Until = "done", window: float = 0) -> Placed:
    return (await store.queue.put([named(store, job, name, until, window)]))[0]


async def bury(store: Ground, job: str, until: Until = "done", window: float = 0) -> None:
    assert (await put(store, job, until=until, window=window)).created
    worker = await store.worker()
    await worker.end(await worker.claim_one(), Dead("rejected"))
