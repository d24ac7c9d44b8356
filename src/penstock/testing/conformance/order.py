"""Messages of one key run one at a time, in the order in which they were put."""

from __future__ import annotations

from penstock.model.limit import Limit
from penstock.model.outcome import Dead, Released
from penstock.testing.conformance.ground import QUEUE, TASK, Ground
from penstock.testing.conformance.worker import ids


class OrderConformance:
    async def test_a_key_runs_on_one_worker_at_a_time(self, store: Ground) -> None:
        first, second = await store.worker(), await store.worker()
        await store.put("a1", "a2", "a3", key="a")
        await store.put("b1", key="b")
        claimed = await first.ask(2)
        assert [ids(run) for run in claimed.runs] == [["a1", "a2"]]
        assert ids(await second.claim()) == ["b1"]
        await first.done(claimed.runs[0])
        assert ids(await second.claim()) == ["a3"]

    async def test_a_key_stays_busy_until_the_last_of_its_run_is_settled(self, store: Ground) -> None:
        first, second = await store.worker(), await store.worker()
        await store.put("a1", "a2", key="a")
        a1, a2 = await first.claim()
        await store.put("a3", key="a")
        await first.done(a1)
        assert await second.claim() == []
        await first.done(a2)
        assert ids(await second.claim()) == ["a3"]

    async def test_a_retry_keeps_its_place(self, store: Ground) -> None:
        first, second = await store.worker(), await store.worker()
        await store.put("a1", "a2", "a3", key="a")
        (run,) = (await first.ask()).runs
        await first.end_run(run, store.failed(30))
        assert await second.drain() == []
        await store.put("b1", key="b")
        assert await second.drain() == ["b1"]
        store.advance(30)
        assert await second.drain() == ["a1", "a2", "a3"]

    async def test_a_retry_in_the_middle_of_a_run_keeps_its_place(self, store: Ground) -> None:
        first, second = await store.worker(), await store.worker()
        await store.put("a1", "a2", "a3", key="a")
        (run,) = (await first.ask()).runs
        await first.done(run[0])
        await first.end_run(run[1:], store.snoozed(30))
        await store.put("a4", key="a")
        assert await second.drain() == []
        store.advance(30)
        assert await second.drain() == ["a2", "a3", "a4"]

    async def test_a_retry_runs_before_what_was_put_later_with_a_higher_priority(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a1", key="a")
        await worker.end(await worker.claim_one(), store.failed(30))
        store.advance(30)
        await store.put("a2", "a3", key="a", priority=9)
        assert await worker.drain() == ["a1", "a2", "a3"]

    async def test_released_messages_keep_their_place(self, store: Ground) -> None:
        first, second = await store.worker(), await store.worker()
        await store.put("a1", "a2", key="a")
        run = await first.claim()
        await store.put("a3", key="a")
        await first.end(run, Released())
        assert await second.drain() == ["a1", "a2", "a3"]

    async def test_priority_chooses_between_keys_never_within_one(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a1", key="a", priority=1)
        await store.put("a2", key="a", priority=9)
        await store.put("b1", key="b", priority=5)
        await store.put("b2", key="b", priority=0)
        await store.put("plain", priority=4)
        assert await worker.drain() == ["a1", "a2", "b1", "b2", "plain"]

    async def test_a_first_delay_takes_its_place_when_due(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put_delayed("a1", 10, key="a")
        await store.put("a2", key="a")
        assert ids(await worker.claim()) == ["a2"]
        await store.put("a3", key="a")
        store.advance(10)
        assert await worker.drain() == []
        await worker.leave()
        other = await store.worker()
        assert await other.drain() == ["a1", "a2", "a3"]

    async def test_the_next_one_passes_when_a_message_dies(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a1", "a2", key="a")
        a1, a2 = await worker.claim()
        await worker.end(a1, Dead("rejected"))
        await worker.done(a2)
        await store.put("a3", key="a")
        assert await worker.drain() == ["a3"]

    async def test_a_long_key_is_finished(self, store: Ground) -> None:
        """Longer than any run."""
        names = [f"a{n:03}" for n in range(200)]
        worker = await store.worker()
        await store.put(*names, key="a")
        assert await worker.drain() == names

    async def test_a_message_of_a_batch_task_ends_a_run(self, store: Ground) -> None:
        """Whatever tasks come next in its key wait until it is settled."""
        worker = await store.worker(TASK, "plain")
        await store.put("a1", key="a")
        await store.put("a2", "a3", key="a", task="plain")
        for names in (["a1"], ["a2", "a3"]):
            (run,) = (await worker.ask(batches={TASK: 10})).runs
            assert ids(run) == names
            await worker.done(run)

    async def test_a_rate_counts_what_starts_not_what_waits_in_a_run(self, store: Ground) -> None:
        """So there a run is one message, though the rate would let more start."""
        worker, other = await store.worker(limits=[Limit(QUEUE, rate="100/s")]), await store.worker()
        await store.put("a1", "a2", key="a")
        await store.put("b1", key="b")
        runs = (await worker.ask()).runs
        assert [ids(run) for run in runs] == [["a1"], ["b1"]]
        await worker.done(runs[0])
        assert ids(await other.claim()) == ["a2"]

    async def test_the_same_key_in_two_queues_is_two_keys(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a1", key="a")
        await store.put_in("other", "b1", key="a")
        assert ids(await worker.claim()) == ["a1"]
        assert ids(await worker.claim(queue="other")) == ["b1"]

    async def test_a_dead_workers_key_goes_on_in_order(self, store: Ground) -> None:
        first, second = await store.worker(), await store.worker()
        await store.put("a1", "a2", "a3", key="a")
        run = await first.claim(2)
        await first.done(run[0])
        await store.put("a4", key="a")
        await store.rescue(first, by=second)
        assert await second.drain() == ["a2", "a3", "a4"]

    async def test_a_dead_worker_leaves_a_retry_in_its_place(self, store: Ground) -> None:
        """Its key waits for the retry: the rest of the dead worker's run does not pass."""
        first, second = await store.worker(), await store.worker()
        await store.put("a1", "a2", key="a")
        (run,) = (await first.ask()).runs
        await first.end_run(run, store.failed(30))
        await store.rescue(first, by=second)
        assert await second.drain() == []
        store.advance(30)
        assert await second.drain() == ["a1", "a2"]
