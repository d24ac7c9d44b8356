"""Old events go, and nobody who points at one, has to read one, or has not committed one is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from penstock.model.log import Event, Fed, TopicSpec
from penstock.stores.postgres import publishing
from penstock.stores.postgres.trimming import trim
from tests.integration.postgres.client import FACTS, NOW, Client, Connect
from tests.integration.postgres.stage import one
from tests.integration.postgres.subscribers import (
    BRIEF,
    LATER,
    SECOND,
    bodies,
    drop,
    fed,
    give,
    keep,
    lock,
    positions,
    publish,
    seek,
    subscribe,
    topic_view,
    trimmed,
    view,
    waiting,
)

OTHER = TopicSpec("other", retention=SECOND)


@pytest.fixture
async def client(connect: Connect) -> Client:
    client = await connect()
    await keep(client, BRIEF)
    return client


async def test_what_waits_gets_a_copy(client: Client) -> None:
    await subscribe(client)
    await client.run(publishing.publish(FACTS, [Event("a", "e", b"body", None, b"headers")], NOW))
    await publish(client, "b", "c")
    await fed(client)
    await client.execute("insert into penstock.finished select seq, queue, 'done', 1, 1 from penstock.message where id = 'b@sub'")
    assert await trimmed(client) == 3
    found = await client.connection.fetch("select id, body, headers, ref_topic, ref from penstock.message order by seq")
    assert [tuple(row) for row in found[::2]] == [("a@sub", b"body", b"headers", None, None), ("c@sub", b"c", None, None, None)]
    assert found[1]["body"] == b""  # it has ended
    assert await positions(client) == {}
    topic = await topic_view(client)
    assert (topic.first, topic.head, topic.events, topic.newest) == (4, 3, 0, None)


async def test_a_message_that_is_locked_keeps_its_event_and_those_behind(client: Client, connect: Connect) -> None:
    other = await connect()
    await subscribe(client)
    await publish(client, *"abcd")
    await fed(client)
    await other.execute("begin")
    await lock(other, "message where id = 'c@sub'")
    assert await trimmed(client) == 2
    assert list(await positions(client)) == ["c", "d"]
    await other.execute("commit")
    assert await trimmed(client) == 2
    assert {id: body for id, (body, _) in (await bodies(client)).items()} == {f"{name}@sub": name.encode() for name in "abcd"}


async def test_a_feed_that_is_under_way_is_waited_for(client: Client, connect: Connect) -> None:
    """It may be of a subscription that was sought back, and feeds what all have read."""
    other = await connect()
    await subscribe(client)
    await publish(client, *"abc")
    await fed(client)
    await client.execute("delete from penstock.ready")
    await seek(client, 0)
    await client.execute("begin")
    await give(client)
    task = asyncio.create_task(trimmed(other))
    await client.until_waits(other)
    await client.execute("commit")
    assert await task == 3
    again = {id: found for id, found in (await bodies(client)).items() if id.endswith("#1")}
    assert again == {f"{name}@sub#1": (name.encode(), None) for name in "abc"}


async def test_a_feed_waits_for_a_trim_and_reads_what_is_left(client: Client, connect: Connect) -> None:
    other = await connect()
    await keep(client, TopicSpec("facts", retention_max=SECOND))
    await subscribe(client)
    await publish(client, *"abc")
    await publish(client, "young", at=LATER)
    await client.execute("begin")
    assert await trim_in(client) == 3
    task = asyncio.create_task(fed(other))
    await client.until_waits(other)
    await client.execute("commit")
    assert await task == Fed(0, more=True)
    assert await fed(other) == Fed(1, more=False)
    assert await waiting(other) == ["young@sub"]


async def test_who_registers_waits_for_a_trim(client: Client, connect: Connect) -> None:
    other = await connect()
    await publish(client, *"abc")
    await client.execute("begin")
    assert await trim_in(client) == 3
    task = asyncio.create_task(subscribe(other))
    await client.until_waits(other)
    await client.execute("commit")
    await task
    assert (await view(client)).cursor == 3


async def trim_in(client: Client, now: int = LATER) -> int:
    """In the transaction that is open, and stays it."""
    return await client.run(trim(100, now))


async def test_a_seek_waits_for_a_trim(client: Client, connect: Connect) -> None:
    other = await connect()
    await subscribe(client)
    await publish(client, *"abc")
    await fed(client)
    await client.execute("begin")
    assert await trim_in(client) == 3
    task = asyncio.create_task(seek(other, 0))
    await client.until_waits(other)
    await client.execute("commit")
    assert await task == 3
    assert (await view(other)).cursor == 3


async def test_a_trim_waits_for_a_seek_and_keeps_what_it_wants(client: Client, connect: Connect) -> None:
    other = await connect()
    await subscribe(client)
    await publish(client, *"abc")
    await fed(client)
    await client.execute("begin")
    await client.run(one("seek", name="sub", cursor=1))
    task = asyncio.create_task(trimmed(other))
    await client.until_waits(other)
    await client.execute("commit")
    assert await task == 1
    assert list(await positions(client)) == ["b", "c"]


async def test_nothing_above_the_floor_goes(client: Client, connect: Connect) -> None:
    """The event that is committed last is below others: it would be below `first`, and kept for ever."""
    other = await connect()
    await publish(client, "before")
    await client.execute("begin")
    await publish(client, "late")
    await publish(other, "early")
    assert await trimmed(other) == 1
    await client.execute("commit")
    assert list(await positions(client)) == ["late", "early"]
    assert await trimmed(other) == 2


async def test_what_strict_appenders_wrote_goes_without_a_floor(client: Client, connect: Connect) -> None:
    strict = await connect(strict=True)
    await strict.publish("a")
    await client.execute("begin")
    await publish(client, "open")
    assert await trimmed(strict) == 1
    await client.execute("rollback")


async def test_missed_events_are_counted_and_not_positions(client: Client) -> None:
    await keep(client, TopicSpec("facts", retention=SECOND, retention_max=10 * SECOND))
    await subscribe(client, "slow")
    await subscribe(client, "quick")
    for name in "abc":
        await publish(client, name)
        await publish(client, f"x{name}", topic=OTHER)
    await publish(client, "young", at=NOW + 5 * SECOND)
    await fed(client, "quick")
    await fed(client, "slow", limit=1)
    assert await trimmed(client, NOW + 9 * SECOND) == 1 + 3  # and three of the other topic
    assert await trimmed(client, NOW + 11 * SECOND) == 2
    slow, quick = await view(client, "slow"), await view(client, "quick")
    assert (slow.missed, slow.unfed, quick.missed) == (2, 1, 0)
    (row,) = await client.connection.fetch("select subscription, first, last, events, at from penstock.missed")
    assert tuple(row) == ("slow", 2, slow.cursor, 2, NOW + 11 * SECOND)
    assert (await fed(client, "slow")).count == 1


async def test_a_topic_that_is_being_declared_is_passed_over(client: Client, connect: Connect) -> None:
    other = await connect()
    await keep(client, OTHER)
    await publish(client, "a", at=NOW - 1)
    await publish(client, "b", topic=OTHER)
    await client.execute("begin")
    await client.run(one("declare_topic", name="facts", versioned=False, retention=None, retention_max=None))
    assert await trimmed(other) == 1
    assert list(await positions(client)) == ["a"]
    await client.execute("commit")
    assert await trimmed(other) == 1


async def test_only_the_first_topic_is_waited_for(client: Client, connect: Connect) -> None:
    other = await connect()
    await keep(client, OTHER)
    await subscribe(client, topic=OTHER)
    await publish(client, "a", at=NOW - 1)
    await publish(client, "b", topic=OTHER)
    await client.execute("begin")
    await give(client)
    assert await trimmed(other) == 1
    await client.execute("commit")
    assert await trimmed(other) == 1


async def test_who_published_waits_for_no_trim(client: Client, connect: Connect) -> None:
    other = await connect()
    await publish(client, "a", "b")
    await client.execute("begin")
    assert await trim_in(client) == 2
    await publish(other, "c")
    await client.execute("commit")
    assert list(await positions(client)) == ["c"]


async def test_a_chosen_id_that_is_being_forgotten_is_new(client: Client, connect: Connect) -> None:
    other, day = await connect(), NOW + 25 * 3600 * SECOND
    await client.publish("x", given=True)
    assert await trimmed(client) == 0
    await client.execute("begin")
    assert await trim_in(client, day) == 1
    task = asyncio.create_task(other.publish("x", given=True))
    await client.until_waits(other)
    await client.execute("commit")
    assert await task == [True]


async def test_no_more_goes_than_was_asked_for(client: Client) -> None:
    await publish(client, *(str(n) for n in range(10)))
    assert [await trimmed(client, limit=4) for _ in range(4)] == [4, 4, 2, 0]


async def test_what_a_drop_passed_over_gets_its_copy_later(client: Client, connect: Connect) -> None:
    other = await connect()
    await subscribe(client)
    await publish(client, "a", "b")
    await fed(client)
    await client.execute("insert into penstock.attempt (seq, number, what, at) select seq, 1, 'failed', 1 from penstock.message")
    await other.execute("begin")
    await lock(other, "message where id = 'b@sub'")
    assert await drop(client) == 0
    found = await bodies(client)
    assert (found["a@sub"], found["b@sub"][0]) == ((b"a", None), b"")
    await other.execute("commit")
    assert await trimmed(client) == 2
    assert (await bodies(client))["b@sub"] == (b"b", None)


async def test_trimming_nothing_is_one_round_trip(client: Client) -> None:
    await publish(client, "young", at=LATER)
    await client.publish("given", given=True)
    before = client.trips
    assert await trimmed(client) == 0
    assert client.trips - before == 1


async def test_feeds_seeks_and_trims_at_once_leave_no_message_without_its_event(client: Client, connect: Connect) -> None:
    """What leaves ready has begun. A settle counts failures meanwhile."""
    feeder, seeker, trimmer, writer = [await connect() for _ in range(4)]
    await subscribe(client)
    done = asyncio.Event()
    sought = "select generation > 3 from penstock.subscription"

    async def write() -> None:
        n = 0
        while n < 100 or not await writer.fetchval(sought):
            await publish(writer, str(n))
            await writer.execute("update penstock.message set failures = failures + 1 where seq % 7 = 0")
            n += 1
        done.set()

    async def feed_on() -> None:
        await fed(feeder, limit=5)
        await feeder.execute("delete from penstock.ready where seq % 2 = 0")

    async def seek_back() -> None:
        if (await view(seeker)).unfed < 3:
            await seek(seeker, 0)

    async def until_done(work: Callable[[], Awaitable[object]]) -> None:
        while not done.is_set():
            await work()

    works = (feed_on, seek_back, lambda: trimmed(trimmer, limit=3))
    await asyncio.gather(write(), *map(until_done, works))
    sql = "select m.body, e.body from penstock.message m left join penstock.event e on e.topic = m.ref_topic and e.pos = m.ref"
    found = [tuple(row) for row in await client.connection.fetch(sql)]
    assert await client.fetchval(sought)
    assert (await topic_view(client)).first > 10
    assert len([body for body, event in found if body and event is None]) > 10
    assert [body for body, event in found if not body and event is None] == []
