"""Failures are counted and tried again when due; snoozes and releases are not counted."""

from __future__ import annotations

from msgspec.structs import replace

from penstock.model.outcome import Released
from penstock.testing.conformance.ground import ERROR, Ground
from penstock.testing.conformance.worker import ids


class RetryConformance:
    async def test_a_failure_is_counted_and_comes_back_when_due(self, store: Ground) -> None:
        worker, other = await store.worker(), await store.worker()
        await store.put("a")
        for attempt, wait in ((1, 5.0), (2, 30.0), (3, 0.5)):
            delivery = await other.claim_one()
            assert delivery.attempt == attempt
            await other.end(delivery, store.failed(wait))
            job = await store.job("a")
            assert (job.status, job.due, job.attempt) == ("retrying", store.after(wait), attempt)
            store.advance(wait - 0.001)
            assert (await worker.ask()).next_due == store.after(0.001)
            store.advance(0.001)
        assert (await worker.claim_one()).attempt == 4

    async def test_the_next_thing_due_is_known(self, store: Ground) -> None:
        """Over all queues; what is due already, and waits for a claim, is none."""
        worker = await store.worker()
        assert await store.store.inspect.next_due(store.now()) is None
        await store.put_delayed("later", 30)
        await store.put("a")
        await worker.end(await worker.claim_one(), store.failed(10))
        await store.put_message(replace(store.message("elsewhere"), queue="other"), delay=20)
        dues = [store.after(10), store.after(20), store.after(30)]
        store.advance(10)
        assert [await store.store.inspect.next_due(due - 1) for due in dues] == dues
        assert await store.store.inspect.next_due(store.now()) == dues[1]
        assert await store.store.inspect.next_due(dues[2]) is None

    async def test_each_failure_is_remembered(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a")
        for _ in range(2):
            await worker.end(await worker.claim_one(), store.failed())
        history = (await store.job("a")).history
        assert [(each.number, each.what, each.at, each.error) for each in history] == [
            (1, "failed", store.now(), ERROR),
            (2, "failed", store.now(), ERROR),
        ]
        assert history[0].worker is not None

    async def test_a_failure_due_at_once_comes_back_at_once(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a")
        await worker.end(await worker.claim_one(), store.failed(0))
        assert (await worker.claim_one()).attempt == 2

    async def test_a_snooze_is_not_counted(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a")
        await worker.end(await worker.claim_one(), store.failed())
        for _ in range(3):
            delivery = await worker.claim_one()
            assert delivery.attempt == 2
            await worker.end(delivery, store.snoozed(60))
            assert (await store.job("a")).due == store.after(60)
            assert await worker.claim() == []
            store.advance(60)
        assert await store.happened("a") == ["failed", "snoozed", "snoozed", "snoozed"]
        assert [each.number for each in (await store.job("a")).history] == [1, 2, 2, 2]

    async def test_a_release_is_not_counted_and_keeps_its_place(self, store: Ground) -> None:
        worker, other = await store.worker(), await store.worker()
        await store.put("a", "b", "c")
        a, b = await worker.claim(2)
        await worker.end([b, a], Released())
        deliveries = await other.claim()
        assert ids(deliveries) == ["a", "b", "c"]
        assert [delivery.attempt for delivery in deliveries] == [1, 1, 1]
        assert await store.happened("a") == []

    async def test_a_worker_that_leaves_releases_what_it_holds(self, store: Ground) -> None:
        worker, other = await store.worker(), await store.worker()
        await store.put("a", "b")
        await store.put("k1", "k2", key="k")
        await worker.claim(3)
        await worker.leave()
        deliveries = await other.claim()
        assert ids(deliveries) == ["a", "b", "k1", "k2"]
        assert {(delivery.attempt, delivery.deaths) for delivery in deliveries} == {(1, 0)}

    async def test_a_retry_competes_by_its_priority(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("urgent", priority=9)
        await worker.end(await worker.claim_one(), store.failed(10))
        await store.put("usual")
        store.advance(10)
        assert ids(await worker.claim()) == ["urgent", "usual"]
