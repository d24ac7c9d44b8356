"""Nothing but the store remembers: what waits, waits on when every process was gone."""

from __future__ import annotations

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from penstock.model.chain import Successor
from penstock.model.limit import Limit
from penstock.model.message import Options, Placed, raw
from penstock.model.unique import Hold
from penstock.ports.follow import Report
from penstock.testing.conformance.ground import QUEUE, TASK, Ground
from penstock.testing.conformance.options import with_options
from penstock.testing.conformance.worker import Worker, ids


class RestartConformance:
    async def test_a_failure_a_snooze_and_a_delay_come_when_due(self, store: Ground) -> None:
        """`RetryAfter` is a failure that says when."""
        worker = await store.worker()
        await store.put("failed", "snoozed")
        await store.put_delayed("delayed", 30)
        failed, snoozed = await worker.claim()
        await worker.end(failed, store.failed(10))
        await worker.end(snoozed, store.snoozed(20))
        worker = await restart(store, worker)
        seen: list[list[tuple[str, int]]] = []
        for _ in range(3):
            store.advance(9.9)
            assert await worker.claim() == []
            store.advance(0.1)
            taken = await worker.claim()
            seen.append([(delivery.job_id, delivery.attempt) for delivery in taken])
            await worker.done(taken)
        assert seen == [[("failed", 2)], [("snoozed", 1)], [("delayed", 1)]]
        assert await store.happened("failed") == ["failed"]
        assert [(each.number, each.what) for each in (await store.job("snoozed")).history] == [(1, "snoozed")]

    async def test_what_waits_for_its_retry_keeps_its_place(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a1", "a2", key="a")
        await worker.end_run(await worker.claim(), store.snoozed(10))
        worker = await restart(store, worker)
        assert await worker.claim() == []
        store.advance(10)
        assert await worker.drain() == ["a1", "a2"]

    async def test_what_expired_meanwhile_does_not_run(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put_expiring("late", 10)
        await store.put_expiring("in time", 30)
        worker = await restart(store, worker, away=20)
        assert ids(await worker.claim()) == ["in time"]
        assert await store.status("late") == "expired"

    async def test_a_retry_that_expires_meanwhile_does_not_run(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put_expiring("a", 10)
        await worker.end(await worker.claim_one(), store.failed(5))
        worker = await restart(store, worker, away=20)
        assert await worker.claim() == []
        assert await store.status("a") == "expired"

    async def test_a_stop_is_no_failure(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a")
        for _ in range(3):
            await worker.claim_one()
            worker = await restart(store, worker)
        a = await worker.claim_one()
        assert (a.attempt, a.deaths) == (1, 0)

    async def test_a_limit_holds_until_a_release_comes_that_does_not_name_it(self, store: Ground) -> None:
        worker = await store.worker(limits=[Limit(QUEUE, concurrency=1)])
        await store.put("a", "b", "c")
        worker = await restart(store, worker)
        assert ids(await worker.claim()) == ["a"]
        newer = await store.worker(limits=[Limit("other", concurrency=1)])
        assert ids(await newer.claim()) == ["b", "c"]

    async def test_a_name_is_held_and_a_chain_goes_on(self, store: Ground) -> None:
        worker = await store.worker()
        hold = Hold("send/n", window=60_000_000)
        then = Successor("b", QUEUE, TASK, Raw(b"{}"))
        chained = Options(unique=hold, then=raw(msgspec.json.encode(then)))
        message = with_options(replace(store.message("a"), unique=hold), chained)
        await store.queue.put([message])
        held = await worker.claim_one()
        await worker.store.follow.tell(worker.incarnation, [Report(held.seq, 0.5, "half")])
        worker = await restart(store, worker)
        progress = (await store.job("a")).progress
        assert progress is not None and progress.note == "half"
        assert await store.queue.put([replace(message, id="c")]) == [Placed("a", created=False)]
        assert await worker.drain() == ["a", "b"]
        worker = await restart(store, worker)
        assert await store.queue.put([replace(message, id="c")]) == [Placed("a", created=False)]
        await restart(store, worker, away=60)
        assert await store.queue.put([replace(message, id="c")]) == [Placed("c")]


async def restart(store: Ground, worker: Worker, away: float = 0) -> Worker:
    """All handles are closed and opened anew, `away` seconds later. The worker leaves in good order; another one comes."""
    await worker.leave()
    await worker.store.close()
    await store.store.close()
    store.advance(away)
    store.store = await store.open()
    return await store.worker()
