"""What a topic keeps: facts, in the order of their commits, and for keys of a versioned one their versions."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from penstock.errors import ConfigurationError, StoreError, VersionConflict
from penstock.model.clock import SECOND
from penstock.model.log import Append, Span, TopicSpec
from penstock.model.message import Placed
from penstock.testing.conformance.ground import Ground
from penstock.testing.conformance.readers import ACCOUNTS, ORDERS, append, command, event, log, publish, reader, subscription


class TopicConformance:
    async def test_what_is_published_is_there_in_its_order(self, store: Ground) -> None:
        await publish(store, "one", "two")
        await publish(store, "three", key="k")
        events = await log(store).read("orders", 0, 10)
        assert [(each.position, each.id, each.body, each.key) for each in events] == [
            (1, "one", b"one", None),
            (2, "two", b"two", None),
            (3, "three", b"three", "k"),
        ]
        assert [each.id for each in await log(store).read("orders", 1, 1)] == ["two"]
        assert await log(store).read("no such topic", 0, 10) == []

    async def test_topics_do_not_see_each_other(self, store: Ground) -> None:
        await publish(store, "one")
        await publish(store, "other", topic=TopicSpec("invoices"))
        await publish(store, "two")
        assert [each.id for each in await log(store).read("orders", 0, 10)] == ["one", "two"]
        assert [each.id for each in await log(store).read("invoices", 0, 10)] == ["other"]

    async def test_the_newest_are_found_whatever_lies_between_them(self, store: Ground) -> None:
        for n in range(4):
            await publish(store, f"order {n}")
            await publish(store, *(f"invoice {n}/{m}" for m in range(10)), topic=TopicSpec("invoices"))
        assert [each.id for each in await store.store.inspect.newest("orders", 3)] == ["order 1", "order 2", "order 3"]
        assert [each.id for each in await store.store.inspect.newest("invoices", 1)] == ["invoice 3/9"]
        assert len(await store.store.inspect.newest("orders", 10)) == 4
        assert await store.store.inspect.newest("no such topic", 3) == []

    async def test_nobody_holds_the_feeds_back(self, store: Ground) -> None:
        await publish(store, "one")
        assert await store.store.inspect.held_back() is None

    async def test_a_given_id_is_published_once(self, store: Ground) -> None:
        first = await log(store).publish(ORDERS, [event("one", given=True), event("one", given=True)])
        again = await log(store).publish(ORDERS, [event("one", given=True), event("two", given=True)])
        assert [[each.created for each in placed] for placed in (first, again)] == [[True, False], [False, True]]
        assert [each.id for each in await log(store).read("orders", 0, 10)] == ["one", "two"]

    async def test_publishers_at_once_lose_nothing(self, store: Ground) -> None:
        other = await store.open()
        names = [f"{who}-{n}" for who in "abcd" for n in range(25)]
        handles = [store.store, other]
        await asyncio.gather(*(handles[n % 2].log.publish(ORDERS, [event(name, name[0])]) for n, name in enumerate(names)))
        events = await log(store).read("orders", 0, 1_000)
        assert [each.position for each in events] == list(range(1, 101))
        assert sorted(each.id for each in events) == sorted(names)

    async def test_times_do_not_go_back_along_a_topic(self, store: Ground) -> None:
        for name in ("one", "two", "three"):
            await publish(store, name)
            store.advance(10)
        events = await log(store).read("orders", 0, 10)
        assert [events[n + 1].at - events[n].at for n in range(2)] == [10 * SECOND, 10 * SECOND]
        assert [await store.store.inspect.position_at("orders", events[1].at + ahead) for ahead in (0, 1, -1)] == [1, 2, 1]
        assert await store.store.inspect.position_at("orders", 0) == 0
        assert await store.store.inspect.position_at("orders", store.now()) == 3

    # -- versions ------------------------------------------------------------------------------------

    async def test_versions_count_in_their_key(self, store: Ground) -> None:
        assert await append(store, "acc-1", "opened", "paid", expected=0) == 2
        assert await append(store, "acc-2", "opened elsewhere", expected=0) == 1
        assert await append(store, "acc-1", "closed", expected=2) == 3
        events = await log(store).read_key("accounts", "acc-1", Span())
        assert [(each.version, each.id) for each in events] == [(1, "opened"), (2, "paid"), (3, "closed")]
        assert await log(store).read_key("accounts", "nobody", Span()) == []

    async def test_each_version_has_headers_of_its_own(self, store: Ground) -> None:
        opened = replace(event("opened"), headers=b'{"trace":"1"}')
        assert await log(store).append(Append(ACCOUNTS, "acc-1", [opened, event("paid")], 0)) == 2
        assert [each.headers for each in await log(store).read_key("accounts", "acc-1", Span())] == [{"trace": "1"}, {}]

    async def test_another_version_than_expected_is_a_conflict(self, store: Ground) -> None:
        await append(store, "acc-1", "opened", expected=0)
        for expected, names in ((0, ["again"]), (2, ["later"])):
            with pytest.raises(VersionConflict, match=f"accounts 'acc-1': expected version {expected}, it is 1"):
                await append(store, "acc-1", *names, expected=expected)
        assert await append(store, "acc-1", "whatever", expected=None) == 2
        assert [each.id for each in await log(store).read_key("accounts", "acc-1", Span())] == ["opened", "whatever"]

    async def test_of_many_with_one_expectation_one_wins(self, store: Ground) -> None:
        handles = [store.store, await store.open()]
        racers = [Append(ACCOUNTS, "acc-1", [event(f"try-{n}", "acc-1")], 0) for n in range(20)]
        results = await asyncio.gather(*(handles[n % 2].log.append(racer) for n, racer in enumerate(racers)), return_exceptions=True)
        assert sorted(str(type(result).__name__) for result in results) == ["VersionConflict"] * 19 + ["int"]
        assert len(await log(store).read_key("accounts", "acc-1", Span())) == 1

    async def test_appends_to_one_key_that_are_written_together_succeed_and_fail_by_themselves(self, store: Ground) -> None:
        """The second one's event has the id of the first one's."""
        racers = [append(store, "acc-1", name, expected=None) for name in ("one", "one", "two")]
        results = await asyncio.gather(*racers, return_exceptions=True)
        assert results[::2] == [1, 2]
        assert isinstance(results[1], StoreError)
        assert [each.id for each in await log(store).read_key("accounts", "acc-1", Span())] == ["one", "two"]

    async def test_the_same_id_again_gets_the_first_result(self, store: Ground) -> None:
        assert await command(store, "cmd", "acc-1", 2, expected=0) == 2
        await append(store, "acc-1", "other", expected=2)
        assert await command(store, "cmd", "acc-1", 2, expected=0) == 2
        assert [each.id for each in await log(store).read_key("accounts", "acc-1", Span())] == ["cmd#acc-1:1", "cmd#acc-1:2", "other"]

    async def test_one_id_in_two_keys_is_two_appends(self, store: Ground) -> None:
        assert [await command(store, "transfer", key, 1, expected=0) for key in ("acc-1", "acc-2")] == [1, 1]
        assert [len(await log(store).read_key("accounts", key, Span())) for key in ("acc-1", "acc-2")] == [1, 1]

    async def test_the_same_id_for_other_events_is_refused_by_name(self, store: Ground) -> None:
        await command(store, "cmd", "acc-1", 2, expected=0)
        for count in (1, 3):
            with pytest.raises(ConfigurationError, match="the id 'cmd' was used there for another number of events"):
                await command(store, "cmd", "acc-1", count)
        assert len(await log(store).read_key("accounts", "acc-1", Span())) == 2

    async def test_a_key_is_read_in_parts(self, store: Ground) -> None:
        for n in range(1, 7):
            await append(store, "acc-1", f"e{n}", expected=n - 1)
            store.advance(1)
        events = await log(store).read_key("accounts", "acc-1", Span())

        async def some(span: Span) -> list[int | None]:
            return [each.version for each in await log(store).read_key("accounts", "acc-1", span)]

        assert await some(Span(first=3)) == [3, 4, 5, 6]
        assert await some(Span(last=2)) == [1, 2]
        assert await some(Span(until=events[3].at)) == [1, 2, 3, 4]
        assert await some(Span(until=events[3].at - 1)) == [1, 2, 3]
        assert await some(Span(backward=True, limit=2)) == [6, 5]
        assert await some(Span(last=4, backward=True)) == [4, 3, 2, 1]

    async def test_what_is_asked_of_the_other_kind_is_refused(self, store: Ground) -> None:
        """Whether the store knows the topic or not; and those beside it in one commit are kept."""
        for n in (1, 2):
            refused = (
                log(store).publish(ACCOUNTS, [event("plain")]),
                log(store).append(Append(ORDERS, "k", [event("versioned")], None)),
            )
            kept = (publish(store, f"order {n}"), append(store, "k", f"opened {n}", expected=None))
            wrong, late, placed, version = await asyncio.gather(*refused, *kept, return_exceptions=True)
            assert (placed, version) == ([Placed(f"order {n}")], n)
            assert isinstance(wrong, ConfigurationError) and "'accounts' is versioned: append to it" in str(wrong)
            assert isinstance(late, ConfigurationError) and "'orders' is not versioned: publish to it" in str(late)
        assert [each.version for each in await log(store).read("accounts", 0, 10)] == [1, 2]
        assert [each.version for each in await log(store).read("orders", 0, 10)] == [None, None]

    async def test_of_the_other_kind_in_a_transaction(self, store: Ground) -> None:
        """The transaction goes on."""
        tx = store.store.transaction()
        with pytest.raises(ConfigurationError, match="'accounts' is versioned: append to it"):
            await tx.publish(ACCOUNTS, [event("plain")])
        with pytest.raises(ConfigurationError, match="'orders' is not versioned: publish to it"):
            await tx.append(Append(ORDERS, "k", [event("versioned")], None))
        await tx.publish(ORDERS, [event("order")])
        await tx.commit()
        assert [each.id for each in await log(store).read("orders", 0, 10)] == ["order"]

    async def test_a_topic_is_versioned_or_not(self, store: Ground) -> None:
        await append(store, "acc-1", "opened", expected=0)
        with pytest.raises(ConfigurationError, match="'accounts' is versioned in this store"):
            await publish(store, "one", topic=TopicSpec("accounts"))
        with pytest.raises(ConfigurationError, match="'accounts' is versioned in this store"):
            await log(store).declare([], [TopicSpec("accounts")])

    # -- retention -----------------------------------------------------------------------------------

    async def test_what_is_old_and_read_goes(self, store: Ground) -> None:
        week = TopicSpec("orders", retention=7 * SECOND)
        spec = subscription("inventory", week)
        worker = await reader(store, spec)
        await publish(store, "one", "two", topic=week)
        store.advance(8)
        await publish(store, "three", topic=week)
        assert await log(store).trim(100) == 0
        await log(store).feed("inventory", 1)
        assert await log(store).trim(100) == 1
        await log(store).feed("inventory", 10)
        assert await log(store).trim(100) == 1
        assert [each.id for each in await log(store).read("orders", 0, 10)] == ["three"]
        deliveries = await worker.claim(10, queue="inventory")
        assert [each.body for each in deliveries] == [b"one", b"two", b"three"]

    async def test_a_topic_without_readers_forgets_by_age(self, store: Ground) -> None:
        week = TopicSpec("orders", retention=7 * SECOND)
        await publish(store, *(f"e{n}" for n in range(10)), topic=week)
        await publish(store, "kept for ever")
        store.advance(8)
        await log(store).declare([], [week])
        assert [await log(store).trim(4) for _ in range(4)] == [4, 4, 3, 0]
        assert await publish(store, "next", topic=week)
        assert [each.position for each in await log(store).read("orders", 0, 10)] == [12]

    async def test_a_given_id_is_known_for_a_day_whatever_the_retention(self, store: Ground) -> None:
        brief = TopicSpec("orders", retention=SECOND)
        await log(store).publish(brief, [event("x", given=True)])
        store.advance(10)
        assert await log(store).trim(10) == 0
        assert not (await log(store).publish(brief, [event("x", given=True)]))[0].created
        store.advance(24 * 3600)
        assert await log(store).trim(10) == 1

    async def test_a_given_id_stays_where_the_last_age_takes_all_others(self, store: Ground) -> None:
        """And what lies behind it stays with it."""
        brief = TopicSpec("orders", retention=SECOND, retention_max=2 * SECOND)
        await log(store).publish(brief, [event("before"), event("x", given=True), event("behind")])
        store.advance(10)
        assert await log(store).trim(10) == 1
        assert [each.id for each in await log(store).read("orders", 0, 10)] == ["x", "behind"]
        store.advance(24 * 3600)
        assert await log(store).trim(10) == 2

    async def test_who_says_no_retention_does_not_change_it(self, store: Ground) -> None:
        await log(store).declare([], [TopicSpec("orders", retention=SECOND)])
        await log(store).declare([], [TopicSpec("orders")])
        (view,) = await store.store.inspect.topics()
        assert view.retention == SECOND

    async def test_the_last_age_takes_what_nobody_has_read_and_says_so(self, store: Ground) -> None:
        month = TopicSpec("orders", retention=7 * SECOND, retention_max=30 * SECOND)
        await reader(store, subscription("slow", month))
        await publish(store, "one", "two", topic=month)
        store.advance(10)
        assert await log(store).trim(100) == 0
        store.advance(21)
        await publish(store, "three", topic=month)
        assert await log(store).trim(100) == 2
        view = next(each for each in await store.store.inspect.subscriptions() if each.name == "slow")
        assert (view.cursor, view.unfed, view.missed) == (2, 1, 2)

    async def test_who_lags_beyond_the_last_age_goes_on_behind_it(self, store: Ground) -> None:
        """With its next feed, however little that asks for."""
        brief = TopicSpec("orders", retention_max=SECOND)
        worker = await reader(store, subscription("slow", brief))
        await publish(store, "one", "two", "three", topic=brief)
        assert (await log(store).feed("slow", 1)).count == 1
        store.advance(2)
        await publish(store, "four", topic=brief)
        assert await log(store).trim(100) == 3
        fed = await log(store).feed("slow", 1)
        assert (fed.count, fed.more) == (1, False)
        assert [each.body for each in await worker.claim(queue="slow")] == [b"one", b"four"]
