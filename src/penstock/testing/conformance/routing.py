"""One store serves several programs: what a worker does not know waits for one that does, in its place."""

from __future__ import annotations

from msgspec.structs import replace

from penstock.model.outcome import Dead
from penstock.testing.conformance.ground import TASK, Counts, Ground
from penstock.testing.conformance.worker import ids

NEW = "new task"


class RoutingConformance:
    async def test_an_unknown_task_waits_for_a_worker_that_knows_it(self, store: Ground) -> None:
        old = await store.worker(TASK)
        await store.put("a", task=NEW)
        await store.put("b")
        assert await old.drain() == ["b"]
        assert await store.status("a") == "unroutable"
        new = await store.worker(NEW)
        assert await store.status("a") == "waiting"
        delivery = await new.claim_one()
        assert (delivery.job_id, delivery.attempt, delivery.deaths) == ("a", 1, 0)
        assert await store.happened("a") == []
        assert await store.counters() == await store.recount() == Counts(running=1, done=1)

    async def test_it_keeps_its_place_in_its_key(self, store: Ground) -> None:
        old, new = await store.worker(TASK), await store.worker(TASK, NEW)
        await store.put("a1", key="a")
        await store.put("a2", key="a", task=NEW)
        await store.put("a3", key="a")
        assert await old.drain() == ["a1"]
        await store.put("a4", key="a")
        assert await old.drain() == []
        assert await new.drain() == ["a2", "a3", "a4"]

    async def test_a_retry_of_an_unknown_task_keeps_its_key(self, store: Ground) -> None:
        old, new = await store.worker(TASK), await store.worker(NEW)
        await store.put("a1", key="a", task=NEW)
        await store.put("a2", key="a")
        await new.end(await new.claim_one(), store.failed(5))
        store.advance(5)
        assert await old.drain() == []
        assert (await new.claim_one()).attempt == 2

    async def test_a_delayed_one_before_a_retry_of_its_key(self, store: Ground) -> None:
        """An unknown task that becomes due before the retry that holds the key: the retry waits behind it, not for ever."""
        old, new = await store.worker(TASK), await store.worker(TASK, NEW)
        await store.put_delayed("warm-up", 1)
        delayed = store.message("a1", key="a", task=NEW)
        await store.put_message(delayed, delay=10)
        await store.put("a2", key="a")
        await old.end(await old.claim_one(), store.failed(10))
        store.advance(10)
        assert await old.drain() == ["warm-up"]
        assert await new.drain() == ["a1", "a2"]

    async def test_many_unknown_ones_hide_nothing(self, store: Ground) -> None:
        old, new = await store.worker(TASK), await store.worker(NEW)
        await store.put(*(f"a{n:03}" for n in range(500)), task=NEW)
        await store.put("b")
        assert await old.drain() == ["b"]
        assert len(await new.drain()) == 500

    async def test_a_stray_behind_a_busy_key_hides_no_other(self, store: Ground) -> None:
        """Room for one, and the first stray cannot run yet."""
        old, new = await store.worker(TASK), await store.worker(TASK, NEW)
        await store.put_message(store.message("a1", key="a"), delay=10)
        await store.put("a2", key="a", task=NEW)
        await store.put("other", task=NEW)
        assert await old.drain() == []
        store.advance(10)
        assert ids(await old.claim(1)) == ["a1"]
        assert ids(await new.claim(1)) == ["other"]

    async def test_it_can_be_cancelled(self, store: Ground) -> None:
        old = await store.worker(TASK)
        await store.put("a1", key="a", task=NEW)
        await store.put("a2", key="a")
        assert await old.drain() == []
        assert await store.queue.cancel("a1") == "cancelled"
        assert await old.drain() == ["a2"]

    async def test_it_expires(self, store: Ground) -> None:
        old = await store.worker(TASK)
        await store.put_expiring("plain", 10)
        message = store.message("a", task=NEW)
        await store.put_message(message, expires=10)
        assert await old.drain() == ["plain"]
        store.advance(10)
        assert await store.queue.expire(100) == 1
        assert await store.status("a") == "expired"

    async def test_a_task_that_moved_to_another_queue_is_found_in_the_old_one(self, store: Ground) -> None:
        worker = await store.worker(TASK)
        assert await worker.elsewhere() == []
        await store.put("its own")
        await store.put_in("b", "not known", task=NEW)
        assert await worker.elsewhere() == []
        await store.put_in("a", "left behind")
        await store.put_in("c", "one of its key", key="k")
        assert await worker.elsewhere() == ["a", "c"]
        for queue in await worker.elsewhere():
            await worker.done(await worker.claim(queue=queue))
        assert await worker.elsewhere() == []

    async def test_what_is_delayed_or_waits_for_a_retry_in_the_old_queue_is_found(self, store: Ground) -> None:
        worker = await store.worker(TASK)
        await store.put_message(replace(store.message("a"), queue="a"), delay=60)
        await store.put_in("b", "b")
        await worker.end(await worker.claim(queue="b"), store.failed(60))
        assert await worker.elsewhere() == ["a", "b"]
        store.advance(60)
        assert ids(await worker.claim(queue="a")) == ["a"]
        assert ids(await worker.claim(queue="b")) == ["b"]

    async def test_what_another_worker_takes_is_left_to_it(self, store: Ground) -> None:
        """Unless it puts it aside."""
        worker, other = await store.worker(TASK), await store.worker(NEW, queues=["a"])
        await store.put_in("a", "a")
        assert await worker.elsewhere() == []
        assert await other.claim(queue="a") == []
        assert await worker.elsewhere() == ["a"]
        await other.leave()
        assert ids(await worker.claim(queue="a")) == ["a"]

    async def test_it_is_found_behind_a_crowd(self, store: Ground) -> None:
        worker = await store.worker(TASK)
        await store.put_in("a", *(f"unknown {n}" for n in range(1_200)), task=NEW)
        await store.put_in("a", "left behind")
        looks = 0
        while await worker.elsewhere() != ["a"]:
            looks += 1
            assert looks < 10

    async def test_a_replayed_one_is_routed_anew(self, store: Ground) -> None:
        old, new = await store.worker(TASK), await store.worker(NEW)
        await store.put("a", task=NEW)
        await new.end(await new.claim_one(), Dead("rejected"))
        await store.queue.replay(["a"])
        assert await old.drain() == []
        assert await new.drain() == ["a"]
