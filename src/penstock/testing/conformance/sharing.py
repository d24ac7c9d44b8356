"""Handlers' transactions that come at the same time may share a commit. Nobody can tell, but by the time it takes."""

from __future__ import annotations

import asyncio

import pytest

from penstock.errors import LeaseLost
from penstock.model.delivery import Delivery, Settlement
from penstock.model.job import JobFilter
from penstock.model.outcome import Done
from penstock.testing.conformance.effects import effects, table
from penstock.testing.conformance.ground import Ground
from penstock.testing.conformance.worker import Worker


class SharingConformance:
    async def test_transactions_at_the_same_time_are_all_kept(self, store: Ground) -> None:
        worker = await table(store)
        elsewhere = await store.open()
        names = [f"job-{n}" for n in range(20)]
        await store.put(*names)
        await asyncio.gather(*(_handle(worker, store, delivery) for delivery in await worker.claim(20)))
        assert len((await elsewhere.inspect.jobs(JobFilter(status="done"), limit=50)).jobs) == 20
        assert await effects(store) == sorted(names)
        assert sorted(await worker.drain()) == sorted(f"after {name}" for name in names)
        assert [await store.status(name) for name in names] == ["done"] * 20

    async def test_one_that_fails_is_undone_alone(self, store: Ground) -> None:
        worker = await table(store)
        await store.put(*(f"job-{n}" for n in range(9)))
        deliveries = await worker.claim()
        await asyncio.gather(*(_handle(worker, store, each, fails=n % 3 == 1) for n, each in enumerate(deliveries)))
        kept = sorted(each.job_id for n, each in enumerate(deliveries) if n % 3 != 1)
        assert await effects(store) == kept
        assert sorted(await worker.drain()) == [f"after {name}" for name in kept]

    async def test_one_whose_lease_is_lost_is_undone_alone(self, store: Ground) -> None:
        worker, slow = await table(store), await store.worker()
        await store.put("stale")
        stale = await slow.claim_one()
        await store.rescue(slow, by=worker)
        await store.put("one", "two")
        one, two = [each for each in await worker.claim() if each.job_id != "stale"]
        results = await asyncio.gather(
            _handle(worker, store, one), _handle(slow, store, stale), _handle(worker, store, two), return_exceptions=True
        )
        assert [type(each) for each in results] == [type(None), LeaseLost, type(None)]
        assert await effects(store) == ["one", "two"]

    async def test_who_was_answered_is_kept_whatever_comes_next(self, store: Ground) -> None:
        worker = await table(store)
        await store.put("one", "two")
        one, two = await worker.claim()
        begun = worker.store.transaction(shared=True)
        await begun.execute("insert into effects (what) values ('undone')", {})
        later = asyncio.ensure_future(_handle(worker, store, two))
        await begun.rollback()
        await _handle(worker, store, one)
        await later
        assert await effects(store) == ["one", "two"]

    async def test_a_statement_cannot_end_it(self, store: Ground) -> None:
        worker = await table(store)
        tx = worker.store.transaction(shared=True)
        await tx.execute("insert into effects (what) values ('kept')", {})
        for sql in ("commit", " /* ; */ Rollback", "END", "-- done\nbegin immediate", "rollback transaction"):
            with pytest.raises(Exception, match=r"commits when its handler or block returns"):
                await tx.execute(sql, {})
        await tx.execute("savepoint mine", {})
        await tx.execute("insert into effects (what) values ('undone')", {})
        await tx.execute("rollback to mine", {})
        await tx.commit()
        assert await effects(store) == ["kept"]


async def _handle(worker: Worker, store: Ground, delivery: Delivery, *, fails: bool = False) -> None:
    tx = worker.store.transaction(shared=True)
    try:
        await tx.execute("insert into effects (what) values (:what)", {"what": delivery.job_id})
        await tx.put([store.message(f"after {delivery.job_id}")])
        if not fails:
            await tx.commit((worker.incarnation, [Settlement(delivery, Done())]))
    finally:
        await tx.rollback()
