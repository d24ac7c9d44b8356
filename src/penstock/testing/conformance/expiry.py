"""What has not started by its time is ended as expired, whoever meets it first: a claim or the sweep."""

from __future__ import annotations

from penstock.testing.conformance.ground import Counts, Ground
from penstock.testing.conformance.worker import ids


class ExpiryConformance:
    async def test_a_claim_ends_what_is_too_late(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put_expiring("late", 10)
        await store.put_expiring("in time", 11)
        store.advance(10)
        assert ids(await worker.claim()) == ["in time"]
        job = await store.job("late")
        assert (job.status, job.ended) == ("expired", store.now())
        assert await store.counters() == await store.recount() == Counts(running=1, expired=1)

    async def test_the_sweep_ends_what_is_too_late(self, store: Ground) -> None:
        worker = await store.worker()
        for n in range(3):
            await store.put_expiring(f"late {n}", 10)
        await store.put("never")
        assert await store.queue.expire(100) == 0
        store.advance(10)
        assert await store.queue.expire(2) == 2
        assert await store.queue.expire(2) == 1
        assert await store.queue.expire(2) == 0
        assert await worker.drain() == ["never"]
        assert await store.counters() == await store.recount() == Counts(done=1, expired=3)

    async def test_the_sweep_finds_what_is_delayed(self, store: Ground) -> None:
        await store.put_message(store.message("a"), delay=20, expires=10)
        store.advance(10)
        assert await store.queue.expire(100) == 1
        store.advance(10)
        assert await (await store.worker()).drain() == []
        assert await store.counters() == await store.recount() == Counts(expired=1)

    async def test_the_head_of_a_key_frees_the_next(self, store: Ground) -> None:
        """Met by a claim."""
        worker = await store.worker()
        await store.put_expiring("a1", 10, key="a")
        await store.put_expiring("a2", 10, key="a")
        await store.put("a3", key="a")
        store.advance(10)
        assert await worker.drain() == ["a3"]

    async def test_the_swept_head_of_a_key_frees_the_next(self, store: Ground) -> None:
        worker, other = await store.worker(), await store.worker()
        await store.put("a1", key="a")
        await store.put_expiring("a2", 10, key="a")
        await store.put("a3", key="a")
        a1 = await worker.claim_one()
        assert await other.claim() == []
        store.advance(10)
        assert await store.queue.expire(100) == 1
        assert await other.drain() == []
        await worker.done(a1)
        assert await other.drain() == ["a3"]

    async def test_a_whole_key_too_late(self, store: Ground) -> None:
        """Longer than any run."""
        worker = await store.worker()
        for n in range(100):
            await store.put_expiring(f"a{n}", 10, key="a")
        await store.put("last", key="a")
        store.advance(10)
        assert await worker.drain() == ["last"]
        assert await store.counters() == await store.recount() == Counts(done=1, expired=100)

    async def test_many_too_late_behind_one_that_runs(self, store: Ground) -> None:
        """Put aside while their key was busy, and more than any run."""
        worker, other = await store.worker(), await store.worker()
        await store.put("a", key="a")
        a = await worker.claim_one()
        for n in range(40):
            await store.put_expiring(f"a{n}", 10, key="a")
        await store.put("last", key="a")
        assert await other.claim() == []
        store.advance(10)
        await worker.done(a)
        assert await other.drain() == ["last"]
        assert await store.counters() == await store.recount() == Counts(done=2, expired=40)

    async def test_the_middle_of_a_run(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a1", key="a")
        await store.put_expiring("a2", 10, key="a")
        await store.put("a3", key="a")
        store.advance(10)
        assert await worker.drain() == ["a1", "a3"]
        assert await store.status("a2") == "expired"

    async def test_a_retry_that_holds_its_key(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put_expiring("a1", 10, key="a")
        await store.put("a2", key="a")
        await worker.end_run(await worker.claim(), store.failed(60))
        store.advance(60)
        names = await worker.drain()
        assert names[-1:] == ["a2"]
        assert await store.recount() == await store.counters()

    async def test_what_runs_is_let_run(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put_expiring("a", 10)
        delivery = await worker.claim_one()
        store.advance(10)
        assert await store.queue.expire(100) == 0
        await worker.done(delivery)
        assert await store.status("a") == "done"
