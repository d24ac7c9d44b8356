"""What becomes of a subscription that is sent to another place, or dropped."""

from __future__ import annotations

import pytest

from penstock.errors import NotFound
from penstock.model.log import TopicSpec
from penstock.model.outcome import Dead
from penstock.testing.conformance.ground import Counts, Ground
from penstock.testing.conformance.readers import ORDERS, event, feed, handled, log, publish, reader, subscription


class SeekingConformance:
    async def test_seeking_back_gives_everything_again(self, store: Ground) -> None:
        worker = await reader(store, subscription("inventory"))
        await publish(store, "one", "two", "three")
        assert await handled(store, worker, "inventory") == ["one", "two", "three"]
        assert await log(store).seek("inventory", 1) == 0
        await feed(store, "inventory")
        assert [each.job_id for each in await worker.claim(queue="inventory")] == ["two@inventory#1", "three@inventory#1"]

    async def test_seeking_back_gives_again_only_what_was_asked_for(self, store: Ground) -> None:
        worker = await reader(store, subscription("inventory", types=["Placed"]))
        await log(store).publish(ORDERS, [event("one"), event("paid", type="Paid"), event("two")])
        for _ in range(2):
            assert await handled(store, worker, "inventory") == ["one", "two"]
            assert await log(store).seek("inventory", 0) == 0

    async def test_seeking_drops_what_has_not_begun_and_lets_the_rest_end(self, store: Ground) -> None:
        worker = await reader(store, subscription("inventory"))
        await publish(store, "a1", "a2", "a3", key="a")
        await publish(store, "b1", key="b")
        await publish(store, "c1")
        await feed(store, "inventory")
        (a1,) = await worker.claim(1, queue="inventory")
        assert await log(store).seek("inventory", 4) == 4
        assert await store.counters("inventory") == Counts(running=1)
        await worker.done(a1)
        assert await handled(store, worker, "inventory") == ["c1"]
        assert await store.counters("inventory") == Counts(done=2)

    async def test_what_has_begun_ends_after_a_seek(self, store: Ground) -> None:
        """Also where it waits for a retry, or was a dead letter that was replayed."""
        worker = await reader(store, subscription("inventory"))
        await publish(store, "a1", "a2", key="a")
        await publish(store, "b1")
        await feed(store, "inventory")
        for run in (await worker.ask(queue="inventory")).runs:
            await worker.end_run(run, store.failed(5) if run[0].key else Dead("rejected"))
        await store.queue.replay(["b1@inventory"])
        assert await log(store).seek("inventory", 3) == 1
        store.advance(5)
        assert sorted(await handled(store, worker, "inventory")) == ["a1", "b1"]
        assert await store.counters("inventory") == Counts(done=2)

    async def test_a_replayed_one_goes_on_when_those_before_it_are_dropped(self, store: Ground) -> None:
        worker = await reader(store, subscription("inventory"))
        await publish(store, "a1", "a2", "a3", key="a")
        await feed(store, "inventory")
        await worker.end(await worker.claim(1, queue="inventory"), Dead("rejected"))
        assert await store.queue.replay(["a1@inventory"]) == ["a1@inventory"]
        a2 = await worker.claim(1, queue="inventory")
        assert await worker.claim(queue="inventory") == []
        await worker.done(a2)
        assert await log(store).seek("inventory", 3) == 1
        assert await handled(store, worker, "inventory") == ["a1"]

    async def test_what_was_not_fed_is_not_dropped(self, store: Ground) -> None:
        worker = await store.worker("inventory", "inventory.on_dead", queues=("inventory",), hooks=("inventory",))
        await log(store).declare([subscription("inventory")])
        await publish(store, "a1")
        await feed(store, "inventory")
        await worker.end(await worker.claim(queue="inventory"), Dead("rejected"))
        assert await log(store).seek("inventory", 0) == 0
        assert [each.task for each in await worker.claim(queue="inventory")] == ["inventory.on_dead"]

    async def test_a_place_beyond_the_ends_is_the_end(self, store: Ground) -> None:
        worker = await reader(store, subscription("inventory"))
        await publish(store, "one", "two")
        for position, cursor in ((1_000, 2), (-5, 0)):
            await log(store).seek("inventory", position)
            (view,) = await store.store.inspect.subscriptions()
            assert view.cursor == cursor
        assert await handled(store, worker, "inventory") == ["one", "two"]

    async def test_an_id_that_was_forgotten_and_comes_again_is_fed_again(self, store: Ground) -> None:
        brief = TopicSpec("orders", retention=1_000_000)
        worker = await reader(store, subscription("inventory", brief))
        await log(store).publish(brief, [event("x", given=True)])
        await feed(store, "inventory")
        await worker.end(await worker.claim(queue="inventory"), Dead("rejected"))
        store.advance(25 * 3600)
        assert await log(store).trim(10) == 1
        await log(store).publish(brief, [event("x", given=True)])
        assert await handled(store, worker, "inventory") == ["x"]
        assert (await store.job("x@inventory#2")).status == "done"
        assert (await store.letter("x@inventory")).body == b"x"

    async def test_one_that_is_dropped_keeps_no_events(self, store: Ground) -> None:
        brief = TopicSpec("orders", retention=1_000_000)
        worker = await reader(store, subscription("retired", brief))
        await publish(store, "a1", "a2", topic=brief, key="a")
        await feed(store, "retired")
        running = await worker.claim(1, queue="retired")
        await publish(store, "a3", topic=brief)
        store.advance(2)
        assert await log(store).trim(10) == 2
        assert await log(store).drop("retired") == 1
        assert await log(store).trim(10) == 1
        await worker.done(running)
        assert await store.counters("retired") == Counts(done=1)
        assert await store.store.inspect.subscriptions() == []
        with pytest.raises(NotFound, match="no subscription retired"):
            await log(store).drop("retired")

    async def test_what_has_begun_keeps_its_event_after_a_seek(self, store: Ground) -> None:
        """The log keeps it no longer for a subscription that has gone on."""
        brief = TopicSpec("orders", retention=1_000_000)
        worker = await reader(store, subscription("inventory", brief))
        await publish(store, "a1", topic=brief)
        await feed(store, "inventory")
        (running,) = await worker.claim(queue="inventory")
        assert await log(store).seek("inventory", 1) == 0
        store.advance(2)
        assert await log(store).trim(10) == 1
        await worker.end(running, store.failed(5))
        store.advance(5)
        (again,) = await worker.claim(queue="inventory")
        assert (again.job_id, again.body, again.attempt) == ("a1@inventory", b"a1", 2)
        await worker.done(again)

    async def test_what_has_begun_keeps_its_event_when_its_subscription_is_dropped(self, store: Ground) -> None:
        """While it waits for its retry."""
        brief = TopicSpec("orders", retention=1_000_000)
        worker = await reader(store, subscription("retired", brief))
        await publish(store, "a1", topic=brief)
        await feed(store, "retired")
        await worker.end(await worker.claim(queue="retired"), store.failed(5))
        assert await log(store).drop("retired") == 0
        store.advance(5)
        assert await log(store).trim(10) == 1
        (again,) = await worker.claim(queue="retired")
        assert (again.job_id, again.body, again.attempt) == ("a1@retired", b"a1", 2)
        await worker.done(again)

    async def test_one_that_was_dropped_and_comes_back_is_fed(self, store: Ground) -> None:
        """What it was fed before may still be in the store: done, or dead."""
        worker = await reader(store, subscription("inventory"))
        await publish(store, "good", "bad")
        await feed(store, "inventory")
        good, bad = await worker.claim(2, queue="inventory")
        await worker.done(good)
        await worker.end(bad, Dead("rejected"))
        for _ in range(2):
            await log(store).drop("inventory")
            await log(store).declare([subscription("inventory")])
            assert await handled(store, worker, "inventory") == ["good", "bad"]
            await log(store).seek("inventory", 0)
            assert await handled(store, worker, "inventory") == ["good", "bad"]

    async def test_one_that_comes_back_is_fed_beside_what_still_runs(self, store: Ground) -> None:
        worker = await reader(store, subscription("inventory"))
        await publish(store, "one")
        await feed(store, "inventory")
        (running,) = await worker.claim(queue="inventory")
        assert await log(store).drop("inventory") == 0
        await log(store).declare([subscription("inventory")])
        assert await handled(store, worker, "inventory") == ["one"]
        await worker.done(running)
        assert [await store.status(name) for name in ("one@inventory", "one@inventory#1")] == ["done", "done"]

    async def test_one_that_comes_back_begins_where_it_says(self, store: Ground) -> None:
        """As one that was never there, not where it was."""
        worker = await reader(store, subscription("inventory", start="now"))
        await publish(store, "one")
        assert await handled(store, worker, "inventory") == ["one"]
        await log(store).drop("inventory")
        await publish(store, "meanwhile")
        await log(store).declare([subscription("inventory", start="now")])
        await publish(store, "two")
        assert await handled(store, worker, "inventory") == ["two"]
