"""Cancelling: at once if it waits, on request if it runs, too late if it is over. The first commit wins."""

from __future__ import annotations

import pytest

from penstock.errors import NotFound
from penstock.model.delivery import Settlement
from penstock.model.outcome import Dead, Done, Outcome, Released
from penstock.testing.conformance.ground import TASK, Counts, Ground
from penstock.testing.conformance.worker import ids


class CancellingConformance:
    async def test_what_waits_never_runs(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a", "b")
        assert await store.queue.cancel("a") == "cancelled"
        assert await store.queue.cancel("a") == "ended"
        assert await worker.drain() == ["b"]
        assert await store.status("a") == "cancelled"
        assert await store.counters() == await store.recount() == Counts(done=1, cancelled=1)

    async def test_what_is_delayed_never_runs(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put_delayed("a", 10)
        assert await store.queue.cancel("a") == "cancelled"
        store.advance(10)
        assert await worker.drain() == []
        assert await store.counters() == await store.recount() == Counts(cancelled=1)

    async def test_what_was_promoted_never_runs(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put_delayed("a", 10)
        await store.put("b")
        store.advance(10)
        assert ids(await worker.claim(1)) == ["a"]
        await worker.release(await worker.claim(1))
        await worker.leave()
        assert await store.queue.cancel("a") == "cancelled"
        assert await (await store.worker()).drain() == ["b"]
        assert await store.counters() == await store.recount() == Counts(done=1, cancelled=1)

    async def test_behind_a_busy_key(self, store: Ground) -> None:
        worker, other = await store.worker(), await store.worker()
        await store.put("a1", "a2", "a3", "a4", key="a")
        a1 = await worker.claim_one()
        assert await other.claim() == []
        assert await store.queue.cancel("a3") == "cancelled"
        await worker.done(a1)
        assert await store.queue.cancel("a2") == "cancelled"
        assert await other.drain() == ["a4"]
        assert await store.counters() == await store.recount() == Counts(done=2, cancelled=2)

    async def test_a_retry_that_holds_its_key_frees_it(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a1", "a2", key="a")
        await worker.end_run(await worker.claim(), store.failed(3600))
        assert await worker.drain() == []
        assert await store.queue.cancel("a1") == "cancelled"
        assert await worker.drain() == ["a2"]
        assert await store.counters() == await store.recount() == Counts(done=1, cancelled=1)

    async def test_a_suspect_frees_its_key(self, store: Ground) -> None:
        rescuer = await store.worker()
        await store.put("a1", "a2", key="a")
        for _ in range(2):
            dead = await store.worker()
            assert ids(await dead.claim(1)) == ["a1"]
            await store.rescue(dead, by=rescuer)
        assert await rescuer.claim() == []
        assert await store.queue.cancel("a1") == "cancelled"
        assert await rescuer.drain() == ["a2"]
        assert await store.counters() == await store.recount() == Counts(done=1, cancelled=1)

    async def test_what_runs_is_asked_to_stop(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("failed", "released", "snoozed", "done", "dead", "other")
        deliveries = await worker.claim()
        for delivery in deliveries[:-1]:
            assert await store.queue.cancel(delivery.job_id) == "requested"
        assert await worker.store.queue.cancellations(worker.incarnation) == [delivery.seq for delivery in deliveries[:-1]]
        assert (await store.job("failed")).cancel_requested
        outcomes: tuple[Outcome, ...] = (store.failed(), Released(), store.snoozed(), Done(), Dead("rejected"), store.failed(60))
        ends = [Settlement(delivery, outcome) for delivery, outcome in zip(deliveries, outcomes, strict=True)]
        assert await worker.store.queue.settle(worker.incarnation, ends) == []
        ended = {delivery.job_id: await store.status(delivery.job_id) for delivery in deliveries}
        assert ended == {
            "failed": "cancelled",
            "released": "cancelled",
            "snoozed": "cancelled",
            "done": "done",
            "dead": "dead",
            "other": "retrying",
        }
        assert await worker.store.queue.cancellations(worker.incarnation) == []
        assert await store.counters() == await store.recount()

    async def test_a_cancelled_run_goes_on_with_the_next_of_its_key(self, store: Ground) -> None:
        worker, other = await store.worker(), await store.worker()
        await store.put("a1", "a2", key="a")
        a1 = await worker.claim_one()
        await store.queue.cancel("a1")
        await worker.release(a1)
        assert await other.drain() == ["a2"]

    async def test_the_death_of_its_worker_ends_it(self, store: Ground) -> None:
        worker, rescuer = await store.worker(), await store.worker()
        await store.put("a1", "a2", key="a")
        await worker.claim_one()
        await store.queue.cancel("a1")
        rescued = await store.rescue(worker, by=rescuer)
        assert (rescued.released, rescued.dead) == (0, 0)
        assert await store.status("a1") == "cancelled"
        assert await rescuer.drain() == ["a2"]

    async def test_a_worker_that_leaves_ends_it(self, store: Ground) -> None:
        worker, other = await store.worker(), await store.worker()
        await store.put("a", "b")
        assert ids(await worker.claim()) == ["a", "b"]
        assert await store.queue.cancel("a") == "requested"
        await worker.leave()
        assert await store.status("a") == "cancelled"
        assert await other.drain() == ["b"]
        assert await store.counters() == await store.recount() == Counts(done=1, cancelled=1)

    async def test_a_request_does_not_outlive_its_run(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a")
        delivery = await worker.claim_one()
        await store.queue.cancel("a")
        await worker.end(delivery, Dead("rejected"))
        await store.queue.replay(["a"])
        await worker.end(await worker.claim_one(), store.failed())
        assert await store.status("a") == "retrying"

    async def test_with_an_open_transaction_the_first_commit_wins(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a", "b")
        a, b = await worker.claim()
        winner, loser = worker.store.transaction(), worker.store.transaction()
        assert await store.queue.cancel("a") == "requested"
        await winner.put([store.message("follow-up of a")])
        await winner.commit((worker.incarnation, [Settlement(a, Done())]))
        assert await store.status("a") == "done"
        assert await store.queue.cancel("b") == "requested"
        await loser.put([store.message("follow-up of b")])
        await loser.rollback()
        await worker.release(b)
        assert await store.status("b") == "cancelled"
        assert await worker.drain() == ["follow-up of a"]

    async def test_unknown_and_over(self, store: Ground) -> None:
        worker = await store.worker(TASK)
        await store.put("done", "dead")
        done, dead = await worker.claim()
        await worker.done(done)
        await worker.end(dead, Dead("rejected"))
        assert await store.queue.cancel("done") == "ended"
        assert await store.queue.cancel("dead") == "ended"
        with pytest.raises(NotFound, match="no-such-job"):
            await store.queue.cancel("no-such-job")
