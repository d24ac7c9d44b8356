"""Following a job: how far it is, and who waits for its end is told, and nobody else."""

from __future__ import annotations

import asyncio

import pytest

from penstock.model.delivery import Settlement
from penstock.model.job import JobFilter
from penstock.model.outcome import Dead, Done
from penstock.ports.follow import Report
from penstock.ports.store import Store
from penstock.testing.conformance.ground import Ground, until


class FollowConformance:
    @pytest.mark.parametrize("through", ["settle", "transaction"])
    async def test_who_waits_is_told_of_the_end(self, store: Ground, through: str) -> None:
        """By another process, in which nobody knows of it."""
        _needs_telling(store)
        worker, waiting = await store.worker(), await store.open()
        await store.put("a")
        held = await worker.claim_one()
        async with waiting.follow.watch("a") as told, store.store.follow.watch("a") as here:
            assert not told.is_set() and not here.is_set()
            if through == "settle":
                await worker.done(held)
            else:
                await worker.store.transaction().commit((worker.incarnation, [Settlement(held, Done())]))
            await asyncio.wait_for(told.wait(), 10)
            await asyncio.wait_for(here.wait(), 10)
        assert await store.status("a") == "done"

    async def test_a_dead_letter_is_an_end_and_a_retry_is_none(self, store: Ground) -> None:
        _needs_telling(store)
        worker = await store.worker()
        await store.put("a")
        async with store.store.follow.watch("a") as told:
            for outcome in (store.failed(0), store.snoozed(0)):
                await worker.end(await worker.claim_one(), outcome)
            await _all_told(store)
            assert not told.is_set()
            await worker.end(await worker.claim_one(), Dead("rejected"))
            await asyncio.wait_for(told.wait(), 10)

    async def test_nobody_is_told_of_what_another_waits_for(self, store: Ground) -> None:
        _needs_telling(store)
        worker = await store.worker()
        await store.put("a", "b")
        a, b = await worker.claim()
        async with store.store.follow.watch("a") as first, store.store.follow.watch("b") as second:
            await worker.done(b)
            await asyncio.wait_for(second.wait(), 10)
            assert not first.is_set()
            await worker.done(a)
            await asyncio.wait_for(first.wait(), 10)

    async def test_many_that_wait(self, store: Ground) -> None:
        _needs_telling(store)
        worker = await store.worker()
        names = [f"a{n}" for n in range(300)]
        await store.put(*names)

        async def wait(handle: Store, name: str) -> str:
            async with handle.follow.watch(name) as told:
                waiting.append(name)
                await told.wait()
            return name

        waiting: list[str] = []
        waits = [asyncio.create_task(wait(store.store, name)) for name in names * 2]
        await until(lambda: len(waiting) == 600, "all wait")
        await worker.drain()
        assert await asyncio.wait_for(asyncio.gather(*waits), 10) == names * 2

    @pytest.mark.parametrize("name", ["ended", "dead", "missing"])
    async def test_what_has_ended_is_told_at_once(self, store: Ground, name: str) -> None:
        worker = await store.worker()
        await store.put("ended", "dead")
        ended, dead = await worker.claim()
        await worker.done(ended)
        await worker.end(dead, Dead("rejected"))
        async with store.store.follow.watch(name) as told:
            assert told.is_set()

    async def test_who_gave_up_disturbs_nobody(self, store: Ground) -> None:
        _needs_telling(store)
        worker, gone = await store.worker(), await store.open()
        await store.put("a", "b")
        async with gone.follow.watch("a"), store.store.follow.watch("b"):
            pass
        await gone.close()
        async with store.store.follow.watch("b") as told:
            await worker.drain()
            await asyncio.wait_for(told.wait(), 10)

    async def test_progress_is_kept_and_the_latest_wins(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a", "b", "c")
        a, b, _ = await worker.claim()
        assert (await store.job("a")).progress is None
        await worker.store.follow.tell(worker.incarnation, [Report(a.seq, 0.25, "first"), Report(b.seq, 1.0, "")])
        store.advance(5)
        await worker.store.follow.tell(worker.incarnation, [Report(a.seq, 0.5, "ünï")])
        progress = (await store.job("a")).progress
        assert progress is not None and (progress.fraction, progress.note, progress.told) == (0.5, "ünï", store.now())
        jobs = (await store.store.inspect.jobs(JobFilter(), limit=10)).jobs
        assert [None if job.progress is None else job.progress.fraction for job in jobs] == [None, 1.0, 0.5]
        await worker.done(a)
        assert (await store.job("a")).progress == progress

    async def test_progress_is_fenced(self, store: Ground) -> None:
        stale, other = await store.worker(), await store.worker()
        await store.put("a")
        a = await stale.claim_one()
        await store.rescue(stale, other)
        await stale.store.follow.tell(stale.incarnation, [Report(a.seq, 0.5, "stale")])
        assert (await store.job("a")).progress is None
        again = await other.claim_one()
        await other.done(again)
        await other.store.follow.tell(other.incarnation, [Report(again.seq, 0.5, "late")])
        assert (await store.job("a")).progress is None

    async def test_who_gave_it_back_tells_no_more_of_it(self, store: Ground) -> None:
        one, other = await store.worker(), await store.worker()
        await store.put("a")
        a = await one.claim_one()
        await one.release(a)
        again = await other.claim_one()
        await other.store.follow.tell(other.incarnation, [Report(again.seq, 0.5, "other")])
        await one.store.follow.tell(one.incarnation, [Report(a.seq, 0.75, "late")])
        progress = (await store.job("a")).progress
        assert progress is not None and (progress.fraction, progress.note) == (0.5, "other")

    async def test_a_replay_begins_without_progress(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a")
        a = await worker.claim_one()
        await store.store.follow.tell(worker.incarnation, [Report(a.seq, 0.5, "")])
        await worker.end(a, Dead("rejected"))
        assert (await store.job("a")).progress is not None
        await store.queue.replay(["a"])
        assert (await store.job("a")).progress is None


def _needs_telling(store: Ground) -> None:
    store.needs(store.backend.capabilities.tells, "telling another process of the end of a job")


async def _all_told(store: Ground) -> None:
    """Whoever was to be told before this, has been: a later end is told here, by the same way."""
    worker = await store.worker(queues=("other",))
    await store.put_in("other", "later")
    held = await worker.claim(queue="other")
    async with store.store.follow.watch("later") as told:
        await worker.done(held)
        await asyncio.wait_for(told.wait(), 10)
