"""Messages go in, and come out once."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from penstock.errors import QueueFull, StoreError
from penstock.model.clock import SECOND
from penstock.model.delivery import Delivery
from penstock.model.message import Message, Placed
from penstock.model.outcome import Dead, Done
from penstock.testing.conformance.backend import Setup
from penstock.testing.conformance.ground import QUEUE, TASK, Counts, Ground
from penstock.testing.conformance.worker import Worker, ids

EVERY_BYTE = bytes(range(256))


class PuttingConformance:
    async def test_a_message_comes_out_as_it_went_in(self, store: Ground) -> None:
        worker = await store.worker()
        sent = Message("id-1", QUEUE, TASK, EVERY_BYTE, b'{"trace": "\xc3\xa9"}', b'{"attempts":3}', key="user:7", priority=9)
        assert await store.queue.put([sent]) == [Placed("id-1", created=True)]
        (got,) = await worker.claim()
        assert (got.job_id, got.queue, got.task, got.key) == (sent.id, sent.queue, sent.task, sent.key)
        assert (got.body, got.raw_headers, got.options) == (sent.body, sent.headers, sent.options)
        assert (got.attempt, got.deaths, got.enqueued) == (1, 0, store.now())

    async def test_what_is_done_does_not_come_back(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a")
        delivery = await worker.claim_one()
        await worker.end(delivery, Done(b'{"sent": true}'))
        claimed = await worker.ask()
        assert (claimed.runs, claimed.more) == ([], False)
        job = await store.job("a")
        assert (job.status, job.result, job.ended, job.attempt) == ("done", b'{"sent": true}', store.now(), 1)

    async def test_an_empty_body_and_a_large_one(self, store: Ground) -> None:
        worker = await store.worker()
        large = EVERY_BYTE * 1024
        await store.queue.put([Message("empty", QUEUE, TASK, b""), Message("large", QUEUE, TASK, large)])
        assert [delivery.body for delivery in await worker.claim()] == [b"", large]

    async def test_competing_workers_share_each_message_once(self, store: Ground) -> None:
        names = [f"m{n:03}" for n in range(300)]
        workers = [await store.worker() for _ in range(4)]
        await asyncio.gather(*(store.put(*names[start : start + 50]) for start in range(0, 300, 50)))
        shares = await asyncio.gather(*(_take_all(worker) for worker in workers))
        assert sorted(name for share in shares for name in share) == names
        assert await store.recount() == Counts(done=300)

    async def test_a_claim_takes_no_more_than_it_has_room_for(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a", "b", "c")
        claimed = await worker.ask(2)
        assert [ids(run) for run in claimed.runs] == [["a"], ["b"]]
        assert claimed.more
        claimed = await worker.ask(2)
        assert [ids(run) for run in claimed.runs] == [["c"]]
        assert not claimed.more

    async def test_higher_priorities_come_first(self, store: Ground) -> None:
        worker = await store.worker()
        for priority in (4, 0, 9, 5):
            await store.put(f"first {priority}", f"second {priority}", priority=priority)
        assert ids(await worker.claim(3)) == ["first 9", "second 9", "first 5"]
        assert ids(await worker.claim()) == ["second 5", "first 4", "second 4", "first 0", "second 0"]

    async def test_a_delayed_message_waits_until_it_is_due(self, store: Ground) -> None:
        worker = await store.worker()
        due = store.after(60)
        await store.put_delayed("later", 60)
        await store.put_delayed("overdue", -60)
        claimed = await worker.ask()
        assert [ids(run) for run in claimed.runs] == [["overdue"]]
        assert claimed.next_due == due
        assert await store.status("later") == "delayed"
        store.advance(59.999)
        assert await worker.claim() == []
        store.advance(0.001)
        assert ids(await worker.claim()) == ["later"]

    async def test_the_age_of_what_waits_is_that_of_the_oldest(self, store: Ground) -> None:
        worker = await store.worker()
        begun = store.now()
        for name in ("a", "b", "c"):
            await store.put(name)
            store.advance(10)
        for seconds in (0, 10, 20):
            assert (await store.view()).oldest == begun + seconds * SECOND
            await worker.done(await worker.claim_one())
        assert (await store.view()).oldest is None

    async def test_a_known_id_is_not_put_again(self, store: Ground) -> None:
        """Whatever became of the first one: it waits, runs, is done, or is dead."""
        worker = await store.worker()
        for name, end in (("runs", None), ("done", Done()), ("dead", Dead("rejected"))):
            await store.put_given(name)
            delivery = await worker.claim_one()
            if end is not None:
                await worker.end(delivery, end)
        await store.put_given("waits")
        for name in ("waits", "runs", "done", "dead"):
            assert await store.put_given(name) == [Placed(name, created=False)]
        assert ids(await worker.claim()) == ["waits"]

    async def test_a_known_id_within_one_batch(self, store: Ground) -> None:
        worker = await store.worker()
        first, second = (replace(store.message("same"), body=body, given=True) for body in (b"first", b"second"))
        placed = await store.queue.put([first, store.message("other"), second])
        assert placed == [Placed("same"), Placed("other"), Placed("same", created=False)]
        assert sorted(delivery.body for delivery in await worker.claim()) == [b"first", b"other"]

    async def test_two_processes_put_the_same_id(self, store: Ground) -> None:
        handles = [await store.open() for _ in range(4)]
        message = replace(store.message("same"), given=True)
        placed = await asyncio.gather(*(handle.queue.put([message]) for handle in handles))
        assert sorted(each.created for (each,) in placed) == [False, False, False, True]
        assert ids(await (await store.worker()).claim()) == ["same"]

    async def test_one_bad_message_keeps_its_batch_out_and_nobody_elses(self, store: Ground) -> None:
        await store.put("taken")
        good, bad = [store.message("good")], [store.message("fresh"), store.message("taken")]
        outcomes = await asyncio.gather(store.queue.put(good), store.queue.put(bad), return_exceptions=True)
        assert outcomes[0] == [Placed("good")]
        assert isinstance(outcomes[1], StoreError)
        assert sorted(await (await store.worker()).drain()) == ["good", "taken"]

    async def test_nothing_can_be_put_beside_something(self, store: Ground) -> None:
        """Calls that are written together get their own answers."""
        calls: list[list[str]] = [["a", "b"], [], ["c", "d"], [], ["e"], []]
        placed = await asyncio.gather(*(store.queue.put([store.message(name) for name in names]) for names in calls))
        assert placed == [[Placed(name) for name in names] for names in calls]
        assert sorted(await (await store.worker()).drain()) == ["a", "b", "c", "d", "e"]

    async def test_a_full_queue_refuses_after_its_patience(self, store: Ground) -> None:
        limited = await store.open(Setup(limits={QUEUE: 2}, patience=0.02))
        await limited.queue.put([store.message("a"), store.message("b")])
        with pytest.raises(QueueFull, match=QUEUE):
            await limited.queue.put([store.message("c")])
        await limited.queue.put([replace(store.message("d"), queue="other")])
        assert await store.store.inspect.job("c") is None
        assert await store.recount() == Counts(waiting=2)

    async def test_a_put_waits_for_room(self, store: Ground) -> None:
        limited = await store.open(Setup(limits={QUEUE: 1}, patience=60))
        await limited.queue.put([store.message("a")])
        waiting = asyncio.create_task(limited.queue.put([store.message("b")]))
        worker = await store.worker()
        assert ids(await worker.claim()) == ["a"]
        assert await waiting == [Placed("b")]

    async def test_a_paused_queue_gives_nothing(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a")
        await store.store.settings.write(f"queue:{QUEUE}", "paused", "true", "an operator")
        assert (await worker.store.settings.rules()).paused == {QUEUE}
        assert (await worker.ask()).runs == []
        assert (await store.view()).paused
        await store.store.settings.write(f"queue:{QUEUE}", "paused", None, "an operator")
        assert ids(await worker.claim()) == ["a"]

    async def test_a_claim_beside_a_crowd_of_one_busy_key(self, store: Ground) -> None:
        """What cannot run is met once: later claims do not pay for it again."""
        worker, other = await store.worker(), await store.worker()
        await store.put("head", key="crowd")
        await worker.claim_one()
        for start in range(0, 100_000, 10_000):
            await store.put(*(f"m{n}" for n in range(start, start + 10_000)), key="crowd")
        await store.put("behind the crowd")
        assert ids(await _claim_within(100, other)) == ["behind the crowd"]
        await store.put("later")
        assert ids(await _claim_within(1, other)) == ["later"]

    async def test_a_commit_elsewhere_wakes_who_listens(self, store: Ground) -> None:
        woken = asyncio.Event()
        other = await store.open()
        undo = store.store.listen(woken.set)
        try:
            await other.queue.put([store.message("a")])
            await asyncio.wait_for(woken.wait(), 10)
            assert await store.status("a") == "unroutable"  # there, and nobody enrolled who knows it
        finally:
            undo()


async def _take_all(worker: Worker) -> list[str]:
    """A few at a time, until there is nothing left."""
    taken: list[str] = []
    while deliveries := await worker.claim(7):
        taken += ids(deliveries)
        await worker.done(deliveries)
    return taken


async def _claim_within(claims: int, worker: Worker) -> list[Delivery]:
    for _ in range(claims):
        claimed = await worker.ask(10)
        if claimed.runs or not claimed.more:
            return [delivery for run in claimed.runs for delivery in run]
    raise AssertionError(f"nothing came out within {claims} claims")
