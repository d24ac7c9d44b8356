"""A subscription is fed each event once, in the order of positions, whatever happens beside."""

from __future__ import annotations

import asyncio

import pytest

from penstock.errors import ConfigurationError, NotFound
from penstock.model.log import Event, Fed, TopicSpec
from penstock.stores.postgres import publishing
from penstock.stores.postgres.feeding import AHEAD
from tests.integration.postgres.client import FACTS, Client, Connect
from tests.integration.postgres.subscribers import (
    BRIEF,
    SECOND,
    SUB,
    drop,
    fed,
    give,
    keep,
    positions,
    publish,
    seek,
    subscribe,
    topic_view,
    trimmed,
    view,
    waiting,
)

OTHER = TopicSpec("other")


@pytest.fixture
async def client(connect: Connect) -> Client:
    client = await connect()
    await subscribe(client)
    return client


async def test_what_is_fed_points_at_its_event(client: Client) -> None:
    await publish(client, "a", type="Placed", key="k", at=7)
    place = (await positions(client))["a"]
    assert await fed(client) == Fed(1, more=False)
    (row,) = await client.connection.fetch(
        "select m.id, m.queue, m.task, m.rank, m.key, m.enqueued, m.body, m.type, m.ref, t.name, r.queue, r.rank, r.key"
        " from penstock.message m join penstock.topic t on t.number = m.ref_topic join penstock.ready r using (seq)"
    )
    assert tuple(row) == ("a@sub", SUB, SUB, 5, "k", 7, b"", "Placed", place, "facts", SUB, 5, "k")
    assert await client.fetchval("select waiting from penstock.count where queue = 'sub'") == 1


async def test_places_in_the_queue_are_in_the_order_of_positions(client: Client) -> None:
    names = [f"{n * 37 % 100:03}" for n in range(100)]
    await publish(client, *names)
    await fed(client)
    sql = "select array_agg(id order by seq), array_agg(ref order by seq) from penstock.message"
    ids, refs = (await client.connection.fetch(sql))[0]
    assert ids == [f"{name}@sub" for name in names]
    assert refs == sorted(refs)


async def test_an_idle_feed_is_one_round_trip_and_writes_nothing(client: Client) -> None:
    await publish(client, "elsewhere", topic=OTHER)
    for begins in ("", "a"):
        await publish(client, *begins)
        await fed(client)
        before = client.trips
        async with client.transaction():
            assert await give(client) == Fed(0, more=False)
            assert await client.fetchval("select pg_current_xact_id_if_assigned() is null")
        assert client.trips - before == 1


async def test_a_feed_is_two_round_trips(client: Client) -> None:
    await publish(client, *"abc")
    before = client.trips
    assert await fed(client) == Fed(3, more=False)
    assert client.trips - before == 2


async def test_positions_have_gaps_and_only_events_are_counted(client: Client) -> None:
    for n in range(5):
        await publish(client, *(f"{n}{k}" for k in range(50)), topic=OTHER)
        await publish(client, str(n))
    assert [await fed(client, limit=2) for _ in range(4)] == [Fed(2, more=True), Fed(2, more=True), Fed(1, more=False), Fed(0, more=False)]
    assert await waiting(client) == [f"{n}@sub" for n in range(5)]
    seen, topic = await view(client), await topic_view(client)
    assert (seen.cursor, seen.head, seen.unfed) == (topic.head, topic.head, 0)
    assert (topic.first, topic.head, topic.events) == (51, 255, 5)


async def test_what_is_behind_is_counted_not_subtracted(client: Client) -> None:
    await publish(client, "a", at=5)
    await publish(client, *(str(n) for n in range(50)), topic=OTHER)
    await publish(client, "b", at=6)
    seen = await view(client)
    assert (seen.cursor, seen.head, seen.unfed, seen.oldest) == (0, 52, 2, 5)


async def test_a_feed_does_not_pass_an_open_appender(client: Client, connect: Connect) -> None:
    other = await connect()
    await client.execute("begin")
    await publish(client, "late")
    await publish(other, "early")
    assert await fed(other) == Fed(0, more=False, held=True)
    await client.execute("commit")
    assert await fed(other) == Fed(2, more=False)
    assert await waiting(other) == ["late@sub", "early@sub"]


async def test_what_is_held_back_is_told_whatever_else_was_published_before_it(client: Client, connect: Connect) -> None:
    other = await connect()
    await publish(other, "elsewhere", topic=OTHER)
    await client.execute("begin")
    await publish(client, "late")
    assert await fed(other) == Fed(0, more=False)  # nobody sees it yet
    await publish(other, "early")
    assert await fed(other) == Fed(0, more=False, held=True)
    await client.execute("commit")
    assert await fed(other) == Fed(2, more=False)


@pytest.mark.parametrize("gap", [0, 1])
async def test_nothing_is_lost_whatever_happens_between_the_look_and_the_feed(client: Client, connect: Connect, gap: int) -> None:
    late, early = await connect(), await connect()
    await publish(client, "before")

    async def meanwhile() -> None:
        await late.execute("begin")
        await publish(late, "late")
        await publish(early, "early")

    assert (await fed(client, meanwhile={gap: meanwhile})).count == 1
    await late.execute("commit")
    assert (await fed(client)).count == 2
    assert await waiting(client) == ["before@sub", "late@sub", "early@sub"]


@pytest.mark.parametrize(("ends", "second"), [("commit", Fed(0, more=True)), ("rollback", Fed(2, more=False))])
async def test_of_two_feeders_at_once_one_feeds(client: Client, connect: Connect, ends: str, second: Fed) -> None:
    other = await connect()
    await publish(client, "a", "b")
    await client.execute("begin")
    assert await give(client) == Fed(2, more=False)
    task = asyncio.create_task(fed(other))
    await client.until_waits(other)
    await client.execute(ends)
    assert await task == second
    assert await waiting(client) == ["a@sub", "b@sub"]
    assert (await view(client)).unfed == 0


async def test_many_feeders_and_publishers_feed_each_event_once_and_in_order(client: Client, connect: Connect) -> None:
    writers, feeders = [await connect() for _ in range(4)], [await connect() for _ in range(3)]
    done = asyncio.Event()

    async def write(writer: Client, name: str) -> None:
        for n in range(30):
            async with writer.transaction():
                await publish(writer, f"{name}{n:02}a", key=name)
                await publish(writer, f"{name}{n:02}b", key=name)

    async def follow(feeder: Client) -> None:
        while True:
            last = done.is_set()
            result = await fed(feeder, limit=7)
            if last and not result.count and not result.more:
                return

    following = [asyncio.create_task(follow(feeder)) for feeder in feeders]
    await asyncio.gather(*(write(writer, name) for writer, name in zip(writers, "wxyz", strict=True)))
    done.set()
    await asyncio.gather(*following)
    found = await waiting(client)
    assert len(found) == len(set(found)) == 4 * 30 * 2
    for name in "wxyz":
        assert [id for id in found if id[0] == name] == [f"{name}{n:02}{half}@sub" for n in range(30) for half in "ab"]
    refs = await client.fetchval("select array_agg(ref order by seq) from penstock.message")
    assert refs == sorted(refs)


# -- types


async def test_a_crowd_that_nobody_wants_is_passed_and_not_looked_at_again(client: Client) -> None:
    await subscribe(client, types=["wanted"])
    await publish(client, *(f"n{n}" for n in range(25)), type="unwanted")
    await publish(client, "w", type="wanted")
    assert [await fed(client, limit=10) for _ in range(3)] == [Fed(0, more=True), Fed(0, more=True), Fed(1, more=False)]
    assert await waiting(client) == ["w@sub"]
    before = client.trips
    await fed(client)
    assert client.trips - before == 1


async def test_types_that_are_declared_between_the_look_and_the_feed_count(client: Client, connect: Connect) -> None:
    other = await connect()
    await subscribe(client, types=["a"])
    await publish(client, "one", type="b")
    assert (await fed(client, meanwhile={1: lambda: subscribe(other, types=["b"])})).count == 1


# -- other places


async def test_a_seek_between_the_look_and_the_feed_wins(client: Client, connect: Connect) -> None:
    other = await connect()
    await publish(client, "a", "b")

    async def meanwhile() -> None:
        await other.connection.execute("update penstock.subscription set generation = generation + 1")

    assert await fed(client, meanwhile={1: meanwhile}) == Fed(0, more=True)
    assert (await view(client)).cursor == 0
    assert await fed(client) == Fed(2, more=False)
    assert await waiting(client) == ["a@sub#1", "b@sub#1"]


async def test_generations_give_new_ids(client: Client) -> None:
    await publish(client, "a")
    await fed(client)
    await client.execute("delete from penstock.ready")  # as if it ran
    await seek(client, 0)
    await fed(client)
    assert await waiting(client) == ["a@sub#1"]
    await drop(client)
    await subscribe(client)
    await fed(client)
    assert await waiting(client) == ["a@sub#2"]


async def test_a_chosen_id_that_was_forgotten_and_comes_again_is_fed_again(client: Client) -> None:
    await keep(client, BRIEF)
    event = Event("x", "e", b"", given=True)
    for _ in range(2):
        await client.run(publishing.publish(FACTS, [event], 1))
        await fed(client)
        assert await trimmed(client, 25 * 3600 * SECOND) == 1
    assert await waiting(client) == ["x@sub", f"x@sub#{(await view(client)).cursor}"]


async def test_no_more_is_fed_than_can_be_run_soon(client: Client) -> None:
    rows = f"select 'job' || n, 'sub', 't', 5, 1, '' from generate_series(1, {AHEAD}) n"
    await client.execute(f"insert into penstock.message (id, queue, task, rank, enqueued, body) {rows}")
    await client.execute("insert into penstock.ready (queue, rank, seq) select queue, rank, seq from penstock.message")
    await publish(client, "a")
    assert await fed(client) == Fed(1, more=False)  # the counters know of none
    await client.execute(f"insert into penstock.delta (queue, waiting) values ('sub', {AHEAD})")
    await publish(client, "b")
    before = client.trips
    assert await fed(client) == Fed(0, more=True, full=True)
    assert client.trips - before == 1
    await client.execute("delete from penstock.ready where seq <= 2")  # what counts is what could run
    assert await fed(client) == Fed(1, more=False)


# -- where it begins


async def test_one_that_starts_now_misses_nothing_that_is_published_after(client: Client, connect: Connect) -> None:
    other = await connect()
    await publish(client, "before")
    await client.execute("begin")
    await publish(client, "late")
    await publish(other, "early")
    await subscribe(other, "new", start="now")
    assert (await view(other, "new")).cursor == (await positions(other))["before"]
    await client.execute("commit")
    await publish(other, "after")
    await fed(other, "new")
    assert await waiting(other, "new") == ["late@new", "early@new", "after@new"]


async def test_one_that_starts_now_beside_strict_appenders_misses_nothing(client: Client, connect: Connect) -> None:
    """Also where nobody sees their locks: it begins behind what is to be seen."""
    strict = await connect(strict=True)
    await publish(client, "before")
    await strict.execute("begin")
    await strict.publish("late")
    await subscribe(client, "new", start="now")
    await strict.execute("commit")
    await fed(client, "new")
    assert await waiting(client, "new") == ["late@new"]
    await subscribe(client, "next", start="now")
    assert await fed(client, "next") == Fed(0, more=False)


async def test_a_strict_feed_needs_no_floor(client: Client, connect: Connect) -> None:
    strict = await connect(strict=True)
    await strict.publish("a", "b")
    await client.execute("begin")
    await publish(client, "c")
    assert await fed(strict) == Fed(2, more=False)
    await client.execute("rollback")


async def test_nobody_is_fed_where_too_little_would_be_seen(client: Client) -> None:
    async with client.transaction(isolation="repeatable_read"):
        with pytest.raises(ConfigurationError, match="not in a transaction that is repeatable read"):
            await give(client)
    with pytest.raises(NotFound, match="no subscription nobody"):
        await fed(client, "nobody")
