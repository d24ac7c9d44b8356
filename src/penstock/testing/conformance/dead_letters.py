"""A delivery that ended badly is kept whole, and can be replayed or discarded once."""

from __future__ import annotations

import pytest

from penstock.model.delivery import SUSPECT_DEATHS
from penstock.model.job import JobFilter
from penstock.model.message import Message
from penstock.model.outcome import Dead, Done
from penstock.testing.conformance.ground import ALL, ERROR, QUEUE, TASK, Counts, Ground
from penstock.testing.conformance.worker import Worker, ids

UNDECODABLE = b'\xff\xfe\x00{"a": \x80 not JSON' + bytes(range(256))
HEADERS = b'{"trace":"00-abc","na\xc3\xafve":""}'


class DeadLetterConformance:
    async def test_a_dead_letter_keeps_everything(self, store: Ground) -> None:
        worker = await store.worker()
        await store.queue.put([Message("a", QUEUE, TASK, UNDECODABLE, HEADERS, key="k")])
        await worker.end(await worker.claim_one(), store.failed(0))
        await worker.end(await worker.claim_one(), Dead("failed 2 times", ERROR))
        letter = await store.letter("a")
        assert (letter.body, letter.headers, letter.key) == (UNDECODABLE, HEADERS, "k")
        assert (letter.queue, letter.task, letter.reason, letter.error) == (QUEUE, TASK, "failed 2 times", ERROR)
        assert (letter.attempts, letter.deaths, letter.died) == (2, 0, store.now())
        assert [(each.number, each.what) for each in letter.history] == [(1, "failed"), (2, "dead")]
        assert await store.status("a") == "dead"
        assert (await worker.ask()).runs == []

    async def test_dead_letters_are_found(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a", "b", "c")
        await _kill(worker, "b")
        store.advance(1)
        await _kill(worker, "a")
        found = await store.store.inspect.letters(JobFilter(queue=QUEUE), limit=ALL)
        assert [letter.id for letter in found] == ["b", "a"]
        assert [letter.id for letter in await store.store.inspect.letters(JobFilter(contains="a"), limit=ALL)] == ["a"]
        assert await store.store.inspect.count_letters(JobFilter()) == 2
        assert await store.store.inspect.count_letters(JobFilter(ids=("b", "c"))) == 1

    async def test_the_hook_is_enqueued_with_the_letter_once(self, store: Ground) -> None:
        worker = await store.worker(TASK, f"{TASK}.on_dead", hooks=[TASK])
        await store.put("a")
        delivery = await worker.claim_one()
        await worker.end(delivery, Dead("rejected"))
        assert await worker.settle(delivery, Dead("rejected")) == [delivery.seq]
        told = await worker.claim()
        assert [each.task for each in told] == [f"{TASK}.on_dead"]
        assert b'"a"' in told[0].body
        await worker.end(told, Dead("the hook fails too"))
        assert await worker.claim() == []

    async def test_a_task_without_a_hook_is_not_told(self, store: Ground) -> None:
        worker = await store.worker(TASK, f"{TASK}.on_dead")
        await store.put("a")
        await worker.end(await worker.claim_one(), Dead("rejected"))
        assert await worker.claim() == []

    async def test_an_older_release_beside_a_newer_one_does_not_silence_its_hook(self, store: Ground) -> None:
        newer = await store.worker(TASK, f"{TASK}.on_dead", hooks=[TASK])
        older = await store.worker(TASK)
        await store.put("a")
        await older.end(await older.claim_one(), Dead("rejected"))
        assert [each.task for each in await newer.claim()] == [f"{TASK}.on_dead"]

    async def test_a_hook_outlives_the_workers_that_have_it(self, store: Ground) -> None:
        rescuer = await store.worker("another task")
        await store.put("a")
        for deaths in range(3):
            killed = await store.worker(TASK, hooks=[TASK])
            await (killed.claim_one() if deaths < SUSPECT_DEATHS else killed.claim_suspect())
            await store.rescue(killed, by=rescuer)
        again = await store.worker(f"{TASK}.on_dead")
        assert [each.task for each in await again.claim()] == [f"{TASK}.on_dead"]

    @pytest.mark.parametrize("how", ["it leaves", "it leaves first", "it dies first"])
    async def test_a_release_that_is_rolled_back_takes_its_hook_along(self, store: Ground, how: str) -> None:
        newer = await store.worker(TASK, f"{TASK}.on_dead", hooks=[TASK])
        rescuer = await store.worker("another task")
        if how == "it leaves first":
            await newer.leave()
        if how == "it dies first":
            await store.rescue(newer, by=rescuer)
        older = await store.worker(TASK)
        if how == "it leaves":
            await newer.leave()
        await store.put("a")
        await older.end(await older.claim_one(), Dead("rejected"))
        assert (await store.counters()).waiting == 0

    async def test_replay_starts_anew_under_the_same_id(self, store: Ground) -> None:
        worker = await store.worker()
        await store.queue.put([Message("a", QUEUE, TASK, UNDECODABLE, HEADERS)])
        await worker.end(await worker.claim_one(), store.failed(0))
        await worker.end(await worker.claim_one(), Dead("rejected"))
        assert await store.queue.replay(["a"]) == ["a"]
        assert await store.store.inspect.letter("a") is None
        delivery = await worker.claim_one()
        assert (delivery.job_id, delivery.attempt, delivery.deaths) == ("a", 1, 0)
        assert (delivery.body, delivery.raw_headers) == (UNDECODABLE, HEADERS)
        await worker.end(delivery, Done(b"1"))
        assert await store.happened("a") == ["failed", "dead", "replayed"]
        assert (await store.job("a")).result == b"1"

    async def test_replay_twice_is_once(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a", "b")
        await _kill(worker, "a", "b")
        assert await store.queue.replay(["a", "a", "no such id"]) == ["a"]
        assert await store.queue.replay(["a"]) == []
        assert await store.counters() == await store.recount() == Counts(waiting=1, dead=1)
        assert await worker.drain() == ["a"]
        assert await store.queue.replay(["a"]) == []

    async def test_many_go_back_in_their_old_order_at_the_end_of_their_key(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a1", "a2", "a3", key="a")
        await _kill(worker, "a3", "a1", "a2")
        await store.put("a4", key="a")
        assert await store.queue.replay(["a2", "a3", "a1"]) == ["a1", "a2", "a3"]
        await store.put("a5", key="a")
        assert await worker.drain() == ["a4", "a1", "a2", "a3", "a5"]

    async def test_a_replay_behind_a_busy_key_waits(self, store: Ground) -> None:
        worker, other = await store.worker(), await store.worker()
        await store.put("a1", "a2", key="a")
        a1, a2 = await worker.claim()
        await worker.end(a1, Dead("rejected"))
        await store.queue.replay(["a1"])
        assert await other.drain() == []
        await worker.done(a2)
        assert await other.drain() == ["a1"]

    async def test_what_waits_for_its_time_comes_now_in_its_place(self, store: Ground) -> None:
        """It has not died: its failures stay counted."""
        worker = await store.worker()
        await store.put("a1", "a2", key="a")
        await store.put_delayed("later", 3600)
        (run,) = (await worker.ask()).runs
        await worker.end_run(run, store.failed(60))
        assert await worker.drain() == []
        assert sorted(await store.queue.replay(["later", "a1", "a2"])) == ["a1", "later"]
        assert await worker.drain() == ["a1", "a2", "later"]
        assert (await store.job("a1")).attempt == 2
        assert await store.counters() == await store.recount() == Counts(done=3)

    async def test_what_is_put_after_a_replay_has_a_place_of_its_own(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a")
        await _kill(worker, "a")
        await store.queue.replay(["a"])
        await store.put("b", "c")
        assert ids(await worker.claim()) == ["a", "b", "c"]

    async def test_a_replayed_message_can_die_again(self, store: Ground) -> None:
        worker = await store.worker(TASK, f"{TASK}.on_dead", hooks=[TASK])
        await store.put("a")
        for _ in range(2):
            await _kill(worker, "a")
            store.advance(1)
            await store.queue.replay(["a"])
        hooks = [each for each in await worker.claim() if each.task != TASK]
        assert len(hooks) == 2
        assert await store.happened("a") == ["dead", "replayed", "dead", "replayed"]

    async def test_discard_removes_it_once(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a", "b")
        await _kill(worker, "a", "b")
        assert await store.queue.discard(["a", "a", "no such id"]) == ["a"]
        assert await store.queue.discard(["a"]) == []
        assert await store.status("a") == "cancelled"
        assert await store.queue.replay(["a", "b"]) == ["b"]
        assert await worker.drain() == ["b"]
        assert await store.counters() == Counts(done=1, cancelled=1)

    async def test_an_id_is_remembered_while_its_letter_is_kept(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put_given("a")
        await _kill(worker, "a")
        assert not (await store.put_given("a"))[0].created
        await store.queue.replay(["a"])
        assert not (await store.put_given("a"))[0].created
        assert await worker.drain() == ["a"]


async def _kill(worker: Worker, *names: str) -> None:
    """Claim until these have come, give the others back, and let these die in this order."""
    held = {delivery.job_id: delivery for delivery in await worker.claim(100)}
    for name in names:
        await worker.end(held.pop(name), Dead("rejected", ERROR))
    if held:
        await worker.release(list(held.values()))
