"""What a subscription is fed, and what becomes of it: a message like any other."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from penstock.errors import ConfigurationError, NotFound
from penstock.model.job import JobFilter
from penstock.model.log import TopicSpec
from penstock.model.outcome import Dead, Done
from penstock.testing.conformance.ground import Counts, Ground
from penstock.testing.conformance.readers import ORDERS, event, feed, handled, log, publish, reader, subscription

FEEDS = 40


class SubscriptionConformance:
    async def test_each_subscription_gets_everything(self, store: Ground) -> None:
        inventory, shipping = await reader(store, subscription("inventory")), await reader(store, subscription("shipping"))
        names = [f"e{n}" for n in range(10)]
        await publish(store, *names)
        assert await handled(store, inventory, "inventory") == names
        assert await handled(store, shipping, "shipping") == names
        assert await handled(store, inventory, "inventory") == []

    async def test_what_is_fed_is_a_message_with_the_events_own(self, store: Ground) -> None:
        worker = await reader(store, subscription("inventory"))
        headers = b'{"trace":"1"}'
        await log(store).publish(ORDERS, [replace(event("one", "order-7", type="Paid"), headers=headers)])
        await feed(store, "inventory")
        (delivery,) = await worker.claim(queue="inventory")
        assert delivery.raw_headers == headers
        assert (delivery.job_id, delivery.task, delivery.queue) == ("one@inventory", "inventory", "inventory")
        assert (delivery.key, delivery.type, delivery.body, delivery.attempt) == ("order-7", "Paid", b"one", 1)
        job = await store.job("one@inventory")
        assert (job.status, job.body, job.type) == ("running", b"one", "Paid")

    async def test_a_feed_wakes_who_listens_only_if_it_fed_something(self, store: Ground) -> None:
        """Else it would wake the feeder that asked, which would ask again."""
        await reader(store, subscription("inventory"))
        woken = asyncio.Event()
        wakes: list[int] = []

        def wake() -> None:
            wakes.append(1)
            woken.set()

        undo = store.store.listen(wake)
        try:
            for _ in range(FEEDS):
                assert await feed(store, "inventory") == 0
            await store.put("last")
            await asyncio.wait_for(woken.wait(), 10)
            assert len(wakes) < FEEDS / 2  # looks of its own may come between
            await publish(store, "one")
            woken.clear()
            assert await feed(store, "inventory") == 1
            await asyncio.wait_for(woken.wait(), 10)
        finally:
            undo()

    async def test_where_a_subscription_starts_is_fixed_at_its_first_registration(self, store: Ground) -> None:
        await publish(store, "before")
        late = await reader(store, subscription("late", start="now"))
        early = await reader(store, subscription("early", start="beginning"))
        await publish(store, "after")
        await log(store).declare([subscription("late", start="beginning"), subscription("early", start="now")])
        assert await handled(store, late, "late") == ["after"]
        assert await handled(store, early, "early") == ["before", "after"]

    async def test_only_some_types_are_fed(self, store: Ground) -> None:
        worker = await reader(store, subscription("inventory", types=["Placed"]))
        await log(store).publish(ORDERS, [event("one"), event("paid", type="Paid"), event("two")])
        assert await handled(store, worker, "inventory") == ["one", "two"]
        await log(store).publish(ORDERS, [event("paid again", type="Paid")])
        assert await feed(store, "inventory") == 0
        view = next(each for each in await store.store.inspect.subscriptions() if each.name == "inventory")
        assert (view.cursor, view.head, view.unfed) == (4, 4, 0)

    async def test_two_releases_at_once_are_fed_what_either_wants(self, store: Ground) -> None:
        old = await reader(store, subscription("inventory", types=["Placed"]))
        await log(store).declare([subscription("inventory", types=["Paid"])])
        assert (await _types(store)) == {"Placed", "Paid"}
        await log(store).declare([subscription("inventory", types=["Placed"])])  # an old one that restarts takes nothing back
        assert (await _types(store)) == {"Placed", "Paid"}
        await log(store).declare([subscription("inventory")])
        assert (await _types(store)) is None
        await old.leave()
        await log(store).declare([subscription("inventory", types=["Paid"])])
        assert (await _types(store)) == {"Paid"}

    async def test_what_one_release_does_not_ask_for_waits_for_one_that_does(self, store: Ground) -> None:
        old = await reader(store, subscription("inventory", types=["Placed"]))
        new = await reader(store, subscription("inventory"))
        await log(store).publish(ORDERS, [event("first", "k", type="Paid"), event("second", "k", type="Placed")])
        await feed(store, "inventory")
        await old.end_run(await old.claim(1, queue="inventory"), store.snoozed(1, unwanted=True))
        assert await store.counters("inventory") == Counts(waiting=1, delayed=1)
        store.advance(2)
        assert await handled(store, new, "inventory") == ["first", "second"]
        assert await store.happened("first@inventory") == []

    async def test_what_nobody_asks_for_any_more_is_done(self, store: Ground) -> None:
        """A worker that left may be restarting: it counts a minute longer. One that died is no different."""
        old = await reader(store, subscription("inventory", types=["Placed"]))
        other = await reader(store, subscription("inventory", types=["Placed", "Paid"]))
        await log(store).publish(ORDERS, [event("paid", type="Paid")])
        await feed(store, "inventory")
        await other.leave()
        await old.end(await old.claim(1, queue="inventory"), store.snoozed(1, unwanted=True))
        assert await store.status("paid@inventory") == "delayed"
        store.advance(61)
        await old.end(await old.claim(1, queue="inventory"), store.snoozed(1, unwanted=True))
        assert await store.status("paid@inventory") == "done"

    async def test_a_release_before_wishes_may_ask_for_anything(self, store: Ground) -> None:
        """It takes the subscription's queue, knows its task, and says nothing of types."""
        await log(store).declare([subscription("inventory")])
        older = await store.worker("inventory", queues=("inventory",))
        new = await reader(store, subscription("inventory", types=["Placed"]))
        await log(store).publish(ORDERS, [event("paid", type="Paid")])
        await feed(store, "inventory")
        await new.end(await new.claim(1, queue="inventory"), store.snoozed(1, unwanted=True))
        assert await store.status("paid@inventory") == "delayed"
        await older.leave()
        store.advance(2)
        await new.end(await new.claim(1, queue="inventory"), store.snoozed(1, unwanted=True))
        assert await store.status("paid@inventory") == "done"

    async def test_keys_keep_their_order_through_a_retry(self, store: Ground) -> None:
        worker = await reader(store, subscription("inventory"))
        await publish(store, "a1", "a2", key="a")
        await publish(store, "b1", key="b")
        await feed(store, "inventory")
        claimed = await worker.ask(queue="inventory")
        runs = {run[0].key: run for run in claimed.runs}
        await worker.end_run(runs["a"], store.failed(5))
        await worker.done(runs["b"])
        await publish(store, "a3", key="a")
        assert await handled(store, worker, "inventory") == []
        store.advance(5)
        assert await handled(store, worker, "inventory") == ["a1", "a2", "a3"]

    async def test_two_feeders_feed_once(self, store: Ground) -> None:
        worker = await reader(store, subscription("inventory"))
        other = await store.open()
        names = [f"e{n}" for n in range(200)]
        await publish(store, *names)
        await asyncio.gather(*(feed(handle, "inventory", 7) for handle in (store.store, other, store.store, other)))
        assert await handled(store, worker, "inventory") == names

    async def test_counters_count_what_was_fed(self, store: Ground) -> None:
        worker = await reader(store, subscription("inventory"))
        await publish(store, "one", "two", "three")
        await feed(store, "inventory")
        assert await store.counters("inventory") == Counts(waiting=3)
        one, two = await worker.claim(2, queue="inventory")
        await worker.done(one)
        await worker.end(two, Dead("rejected"))
        assert await store.counters("inventory") == await store.recount("inventory") == Counts(waiting=1, dead=1, done=1)

    async def test_a_dead_one_keeps_its_body_when_its_event_is_gone(self, store: Ground) -> None:
        brief = TopicSpec("orders", retention=5_000_000)
        worker = await reader(store, subscription("inventory", brief))
        await publish(store, "one", "two", topic=brief)
        await feed(store, "inventory")
        one, two = await worker.claim(queue="inventory")
        await worker.end(one, Dead("rejected"))
        await worker.end(two, store.failed(100))
        store.advance(6)
        assert await log(store).trim(10) == 2
        assert (await store.letter("one@inventory")).body == b"one"
        assert await store.queue.replay(["one@inventory", "two@inventory"]) == ["two@inventory", "one@inventory"]
        assert [(each.body, each.type) for each in await worker.claim(queue="inventory")] == [(b"two", "Placed"), (b"one", "Placed")]

    async def test_no_more_is_fed_than_can_be_run_soon(self, store: Ground) -> None:
        worker = await reader(store, subscription("inventory"))
        await log(store).publish(ORDERS, [event(f"e{n}") for n in range(16_000)])
        await feed(store, "inventory", 4_000)
        assert (await store.view("inventory")).waiting == 12_000
        assert (await log(store).feed("inventory", 4_000)).full
        for _ in range(21):
            await worker.done(await worker.claim(100, queue="inventory"))
        fed = await log(store).feed("inventory", 4_000)
        assert (fed.count, fed.more, fed.full) == (4_000, False, False)

    async def test_one_that_is_full_keeps_no_other_back(self, store: Ground) -> None:
        """They read the same events."""
        await log(store).declare([subscription("slow"), subscription("quick", types=["Paid"])])
        await log(store).publish(ORDERS, [*(event(f"e{n}") for n in range(10_001)), event("paid", type="Paid")])
        assert await feed(store, "slow", 5_000) == 10_000
        assert (await log(store).feed("slow", 5_000)).full
        assert await feed(store, "quick", 5_000) == 1

    async def test_a_crowd_behind_one_key_does_not_keep_the_others(self, store: Ground) -> None:
        worker = await reader(store, subscription("inventory"))
        await publish(store, "a1", key="a")
        await feed(store, "inventory")
        await worker.end(await worker.claim(1, queue="inventory"), store.failed(1_000))
        await log(store).publish(ORDERS, [event(f"a{n}", "a") for n in range(2, 12_000)])
        await publish(store, "b1", key="b")
        names: list[str] = []
        while not names:
            await feed(store, "inventory", 4_000)
            names = [delivery.job_id for delivery in await worker.claim(10, queue="inventory")]
        assert names == ["b1@inventory"]

    async def test_a_subscription_is_of_one_topic(self, store: Ground) -> None:
        await log(store).declare([subscription("inventory")])
        with pytest.raises(ConfigurationError, match="'inventory' reads another topic than 'invoices'"):
            await log(store).declare([subscription("inventory", TopicSpec("invoices"))])
        with pytest.raises(NotFound, match="no subscription nobody"):
            await log(store).feed("nobody", 10)

    async def test_who_declares_it_of_another_topic_changes_nothing(self, store: Ground) -> None:
        worker = await reader(store, subscription("inventory"))
        await publish(store, "bill", topic=TopicSpec("invoices"))
        with pytest.raises(ConfigurationError, match="another topic"):
            await log(store).declare([subscription("inventory", TopicSpec("invoices"), types=["Paid"])])
        (view,) = await store.store.inspect.subscriptions()
        assert (view.topic, view.types) == ("orders", None)
        await publish(store, "one")
        assert await handled(store, worker, "inventory") == ["one"]

    # -- holding -------------------------------------------------------------------------------------

    async def test_a_death_holds_its_key_until_it_is_replayed(self, store: Ground) -> None:
        worker = await reader(store, subscription("inventory", hold=True))
        await publish(store, "a1", "a2", key="a")
        await publish(store, "b1", key="b")
        await feed(store, "inventory")
        runs = {run[0].key: run for run in (await worker.ask(queue="inventory")).runs}
        await worker.done(runs["b"])
        await worker.end_run(runs["a"], Dead("rejected"))
        await publish(store, "a3", key="a")
        assert await handled(store, worker, "inventory") == []
        assert await store.queue.replay(["a1@inventory"]) == ["a1@inventory"]
        assert await handled(store, worker, "inventory") == ["a1", "a2", "a3"]

    async def test_discarding_frees_the_key(self, store: Ground) -> None:
        worker = await reader(store, subscription("inventory", hold=True))
        await publish(store, "a1", "a2", key="a")
        await feed(store, "inventory")
        await worker.end_run((await worker.ask(queue="inventory")).runs[0], Dead("rejected"))
        assert await worker.claim(queue="inventory") == []
        assert await store.queue.discard(["a1@inventory"]) == ["a1@inventory"]
        assert await handled(store, worker, "inventory") == ["a2"]

    async def test_discarding_one_frees_no_other_key(self, store: Ground) -> None:
        worker = await reader(store, subscription("inventory", hold=True))
        for key in "ab":
            await publish(store, f"{key}1", f"{key}2", key=key)
        await feed(store, "inventory")
        for run in (await worker.ask(queue="inventory")).runs:
            await worker.end_run(run, Dead("rejected"))
        assert await worker.claim(queue="inventory") == []
        assert await store.queue.discard(["b1@inventory"]) == ["b1@inventory"]
        assert await handled(store, worker, "inventory") == ["b2"]
        await store.queue.replay(["a1@inventory"])
        assert await handled(store, worker, "inventory") == ["a1", "a2"]

    async def test_a_third_death_of_its_worker_holds_the_key_too(self, store: Ground) -> None:
        spec = subscription("inventory", hold=True)
        await reader(store, spec)
        await publish(store, "a1", "a2", key="a")
        await feed(store, "inventory")
        rescuer = await store.worker("inventory", queues=("inventory",))
        for _ in range(3):
            victim = await store.worker("inventory", queues=("inventory",))
            claimed = await victim.ask(1, queue="inventory", suspects=True)
            if not claimed.runs:
                claimed = await victim.ask(1, queue="inventory", suspects=True)
            assert [each.job_id for run in claimed.runs for each in run] == ["a1@inventory"]
            await store.rescue(victim, by=rescuer)
        assert await store.status("a1@inventory") == "dead"
        assert await handled(store, rescuer, "inventory") == []
        await store.queue.replay(["a1@inventory"])
        assert await handled(store, rescuer, "inventory") == ["a1", "a2"]

    async def test_a_held_key_replayed_fails_again_in_its_place(self, store: Ground) -> None:
        worker = await reader(store, subscription("inventory", hold=True))
        await publish(store, "a1", "a2", key="a")
        await feed(store, "inventory")
        await worker.end_run((await worker.ask(queue="inventory")).runs[0], Dead("rejected"))
        await store.queue.replay(["a1@inventory"])
        (run,) = (await worker.ask(queue="inventory")).runs
        assert [each.attempt for each in run][:1] == [1]
        await worker.end_run(run, Dead("rejected again"))
        assert await handled(store, worker, "inventory") == []
        await store.queue.replay(["a1@inventory"])
        assert await handled(store, worker, "inventory") == ["a1", "a2"]
        assert [job.status for job in (await store.store.inspect.jobs(JobFilter(queue="inventory"), limit=5)).jobs] == ["done", "done"]
        assert await worker.settle([], Done()) == []


async def _types(store: Ground) -> set[str] | None:
    (view,) = await store.store.inspect.subscriptions()
    return None if view.types is None else set(view.types)
