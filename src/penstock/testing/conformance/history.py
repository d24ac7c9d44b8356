"""What is kept of what is over, and counters that agree with it after anything."""

from __future__ import annotations

import random

import pytest

from penstock.model.clock import SECOND
from penstock.model.job import JobFilter, JobList, Status
from penstock.model.outcome import Dead, Done
from penstock.testing.conformance.ground import ALL, QUEUE, TASK, Counts, Ground
from penstock.testing.conformance.play import Play
from penstock.testing.conformance.worker import Worker

HOUR = 3600 * SECOND


class HistoryConformance:
    @pytest.mark.parametrize("seed", range(3))
    async def test_anything_may_happen(self, store: Ground, seed: int) -> None:
        """Failures, snoozes, releases, deaths, cancellations: order per key is kept, nothing is stuck, counters are right."""
        play = Play(store, random.Random(seed))
        await play.begin(messages=60)
        for _ in range(150):
            await play.step()
            assert await store.counters() == await store.recount()
        await play.finish()
        counts = await store.counters()
        assert counts == await store.recount()
        assert (counts.waiting, counts.delayed, counts.running) == (0, 0, 0)
        assert counts.done + counts.dead + counts.cancelled == 60

    async def test_what_is_old_is_forgotten(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("old", "old and dead")
        old, dead = await worker.claim()
        await worker.done(old)
        await worker.end(dead, Dead("rejected"))
        store.advance(3600)
        await store.put("young", "waits")
        await worker.done(await worker.claim(1))
        assert await store.queue.prune(100, age=HOUR, keep=ALL) == 0
        store.advance(0.001)
        assert await store.queue.prune(100, age=HOUR, keep=ALL) == 1
        assert await store.store.inspect.job("old") is None
        assert [await store.status(name) for name in ("old and dead", "young", "waits")] == ["dead", "done", "waiting"]

    async def test_no_more_is_kept_than_asked_for(self, store: Ground) -> None:
        worker = await store.worker()
        names = [f"m{n}" for n in range(10)]
        await store.put(*names)
        await store.put_in("other", "elsewhere")
        for delivery in [*await worker.claim(), *await worker.claim(queue="other")]:
            await worker.done(delivery)
            store.advance(1)
        assert await store.queue.prune(100, age=HOUR, keep=3) == 7
        assert await store.queue.prune(100, age=HOUR, keep=3) == 0
        kept = (await store.store.inspect.jobs(JobFilter(queue=QUEUE), limit=ALL)).jobs
        assert [job.id for job in kept] == ["m9", "m8", "m7"]
        assert await store.status("elsewhere") == "done"

    async def test_pruning_goes_on_where_it_stopped(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put(*(f"m{n}" for n in range(10)))
        await worker.done(await worker.claim())
        store.advance(3601)
        assert [await store.queue.prune(4, age=HOUR, keep=ALL) for _ in range(4)] == [4, 4, 2, 0]

    async def test_the_oldest_are_forgotten_first(self, store: Ground) -> None:
        """However much was looked at before there was too much."""
        worker = await store.worker()
        await _done(store, worker, "m", 0, 8)
        assert await store.queue.prune(4, age=HOUR, keep=8) == 0
        await _done(store, worker, "m", 8, 12)
        assert await store.queue.prune(4, age=HOUR, keep=8) == 4
        assert await _kept(store, QUEUE) == [f"m{n}" for n in range(4, 12)]

    async def test_the_oldest_are_forgotten_first_when_they_become_old(self, store: Ground) -> None:
        worker = await store.worker()
        await _done(store, worker, "m", 0, 8)
        assert await store.queue.prune(4, age=HOUR, keep=ALL) == 0
        store.advance(3601)
        assert await store.queue.prune(4, age=HOUR, keep=ALL) == 4
        assert await _kept(store, QUEUE) == ["m4", "m5", "m6", "m7"]

    async def test_a_pass_for_age_leaves_the_oldest_first_for_keep(self, store: Ground) -> None:
        """What ended late stands before what a pass for age forgot, and goes before all that came later."""
        worker = await store.worker()
        await store.put("late")
        late = await worker.claim_one()
        await _done(store, worker, "m", 0, 3)
        store.advance(3601)
        await worker.done(late)
        await _done(store, worker, "n", 0, 4)
        assert await store.queue.prune(4, age=HOUR, keep=9) == 3
        assert await store.queue.prune(1, age=HOUR, keep=4) == 1
        assert await _kept(store, QUEUE) == ["n0", "n1", "n2", "n3"]

    async def test_a_queue_within_its_limit_does_not_hide_one_beyond_it(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put_in("other", "a", "b", "c")
        await worker.done(await worker.claim(queue="other"))
        await _done(store, worker, "m", 0, 5)
        assert [await store.queue.prune(3, age=HOUR, keep=3) for _ in range(2)] == [0, 2]
        assert await _kept(store, QUEUE) == ["m2", "m3", "m4"]
        assert await _kept(store, "other") == ["a", "b", "c"]

    async def test_given_ids_are_remembered_whatever_is_kept(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put_given("given")
        await store.put("made")
        await worker.done(await worker.claim())
        assert await store.queue.prune(100, age=HOUR, keep=0) == 1
        assert not (await store.put_given("given"))[0].created
        store.advance(3600.001)
        assert await store.queue.prune(100, age=HOUR, keep=0) == 1
        assert (await store.put_given("given"))[0].created

    async def test_what_others_leave_beside_a_given_id_is_forgotten_in_its_stead(self, store: Ground) -> None:
        """However it ended."""
        worker = await store.worker()
        await store.put_given("given")
        assert await store.queue.cancel("given") == "cancelled"
        await _done(store, worker, "m", 0, 3)
        assert await store.queue.prune(100, age=HOUR, keep=2) == 2
        assert await _kept(store, QUEUE) == ["given", "m2"]
        assert not (await store.put_given("given"))[0].created

    async def test_history_goes_with_its_job(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put_given("a")
        await worker.end(await worker.claim_one(), store.failed())
        await worker.done(await worker.claim_one())
        store.advance(3601)
        await store.queue.prune(100, age=HOUR, keep=ALL)
        await store.put_given("a")
        assert await store.happened("a") == []

    async def test_jobs_are_listed_newest_first(self, store: Ground) -> None:
        worker = await store.worker()
        for name in ("first", "second", "third"):
            await store.put(name)
            store.advance(1)
        await worker.end(await worker.claim_one(), Done())
        listed = (await store.store.inspect.jobs(JobFilter(), limit=2)).jobs
        assert [job.id for job in listed] == ["third", "second"]
        rest = (await store.store.inspect.jobs(JobFilter(), limit=2, before=listed[-1].seq)).jobs
        assert [(job.id, job.status) for job in rest] == [("first", "done")]
        found = {
            "done": (await store.store.inspect.jobs(JobFilter(status="done"), limit=9)).jobs,
            "waiting": (await store.store.inspect.jobs(JobFilter(status="waiting"), limit=9)).jobs,
            "contains": (await store.store.inspect.jobs(JobFilter(contains="econ"), limit=9)).jobs,
            "task": (await store.store.inspect.jobs(JobFilter(task=TASK, queue=QUEUE), limit=9)).jobs,
            "ids": (await store.store.inspect.jobs(JobFilter(ids=("first", "no such id")), limit=9)).jobs,
        }
        assert {what: [job.id for job in jobs] for what, jobs in found.items()} == {
            "done": ["first"],
            "waiting": ["third", "second"],
            "contains": ["second"],
            "task": ["third", "second", "first"],
            "ids": ["first"],
        }

    async def test_what_waits_is_listed_newest_first_wherever_it_is(self, store: Ground) -> None:
        """Of any queue and priority, behind a busy key, put aside, suspected."""
        worker = await store.worker()
        await store.put("suspect")
        for _ in range(2):
            killed = await store.worker()
            await killed.claim_one()
            await store.rescue(killed, by=worker)
        assert await worker.claim() == []
        await store.put("k1", "k2", key="k")
        await worker.claim(1)
        await store.put("low", priority=0)
        await store.put("high", priority=9)
        await store.put_in("elsewhere", "another")
        await store.put("stray", task="nobody knows it")
        await (await store.worker("another task")).claim(1)
        await store.put("last")
        waiting = JobFilter(status="waiting")
        listed = (await store.store.inspect.jobs(waiting, limit=9)).jobs
        assert [job.id for job in listed] == ["last", "another", "high", "low", "k2", "suspect"]
        page = (await store.store.inspect.jobs(waiting, limit=2, before=listed[1].seq)).jobs
        assert [job.id for job in page] == ["high", "low"]
        mail = (await store.store.inspect.jobs(JobFilter(status="waiting", queue="elsewhere"), limit=9)).jobs
        assert [job.id for job in mail] == ["another"]

    @pytest.mark.parametrize("status", [None, "waiting", "delayed", "running", "dead", "done"])
    async def test_a_look_ends_and_says_so(self, store: Ground, status: Status | None) -> None:
        worker = await store.worker()
        for name in ("a", "b", "c"):
            await store.put(f"dead {name}")
            await worker.end(await worker.claim_one(), Dead("rejected"))
            await store.put(f"done {name}")
            await worker.done(await worker.claim_one())
            await store.put(f"running {name}")
            await worker.claim_one()
            await store.put_delayed(f"delayed {name}", 60)
        await store.put("waiting a", "waiting b", "waiting c")
        inspect = store.store.inspect
        there = 3 if status else 15
        nothing = JobFilter(status=status, contains="no such text")
        assert await inspect.jobs(nothing, limit=9, depth=2) == JobList([], looked=2)
        assert await inspect.jobs(nothing, limit=9, depth=there) == JobList([], looked=None)
        enough = await inspect.jobs(JobFilter(status=status), limit=2, depth=2)
        assert (len(enough.jobs), enough.looked) == (2, None)

    async def test_every_state_has_its_name(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("done", "dead", "retrying", "running", "cancelled", "waiting")
        await store.put_expiring("expired", 0)
        await store.put_delayed("delayed", 60)
        await store.put("unroutable", task="nobody knows it")
        await store.queue.cancel("cancelled")
        await store.queue.expire(100)
        done, dead, retrying, _ = await worker.claim(4)
        await worker.done(done)
        await worker.end(dead, Dead("rejected"))
        await worker.end(retrying, store.failed(60))
        assert {job.id: job.status for job in (await store.store.inspect.jobs(JobFilter(), limit=ALL)).jobs} == {
            name: name for name in ("done", "dead", "retrying", "running", "cancelled", "waiting", "expired", "delayed", "unroutable")
        }
        assert await store.counters() == await store.recount()
        assert await store.counters() == Counts(waiting=2, delayed=2, running=1, dead=1, done=1, cancelled=1, expired=1)


async def _done(store: Ground, worker: Worker, prefix: str, start: int, stop: int) -> None:
    await store.put(*(f"{prefix}{n}" for n in range(start, stop)))
    await worker.done(await worker.claim())


async def _kept(store: Ground, queue: str) -> list[str]:
    """The oldest first."""
    jobs = (await store.store.inspect.jobs(JobFilter(queue=queue), limit=ALL)).jobs
    return [job.id for job in reversed(jobs)]
