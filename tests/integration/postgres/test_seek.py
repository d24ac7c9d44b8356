"""A seek and a drop take what has not begun, and leave nothing behind that nobody finds."""

from __future__ import annotations

import asyncio
import random

import pytest

from penstock.errors import NotFound
from penstock.model.log import TopicSpec
from penstock.stores.postgres.moments import position_at
from tests.integration.postgres.client import Client, Connect
from tests.integration.postgres.stage import one
from tests.integration.postgres.subscribers import (
    SUB,
    bodies,
    drop,
    fed,
    positions,
    publish,
    seek,
    subscribe,
    view,
    waiting,
)

OTHER = TopicSpec("other")


@pytest.fixture
async def client(connect: Connect) -> Client:
    client = await connect()
    await subscribe(client)
    return client


async def seqs(client: Client) -> dict[str, int]:
    return dict(await client.connection.fetch("select id, seq from penstock.message"))


async def aside(client: Client) -> list[str]:
    rows = await client.connection.fetch("select m.id from penstock.aside a join penstock.message m using (seq) order by seq")
    return [row[0] for row in rows]


async def put_aside(client: Client, *names: str, stray: str | None = None) -> None:
    """As a claim does that has met their key busy, or does not know their task."""
    sql = "delete from penstock.ready r using penstock.message m where m.seq = r.seq and m.id = $1 returning r.*"
    for name in names:
        (row,) = await client.connection.fetch(sql, f"{name}@sub")
        insert = "insert into penstock.aside (seq, queue, key, rank, stray) values ($1, $2, $3, $4, $5)"
        await client.connection.execute(insert, row["seq"], SUB, row["key"], row["rank"], stray)


async def occupy(client: Client, key: str, owner: int | None = 1) -> None:
    await client.connection.execute("insert into penstock.busy values ('sub', $1, 0, $2)", key, owner)


async def begin(client: Client, *names: str) -> None:
    """Leave what tells that they have begun."""
    sql = "insert into penstock.attempt (seq, number, what, at) select seq, 1, 'failed', 1 from penstock.message where id = any ($1)"
    await client.connection.execute(sql, [f"{name}@sub" for name in names])


# -- where it goes


async def test_nothing_is_skipped_that_is_not_committed_yet(client: Client, connect: Connect) -> None:
    other = await connect()
    await publish(client, "before")
    await client.execute("begin")
    await publish(client, "late")
    await publish(other, "early")
    await seek(other, 1_000)
    assert (await view(other)).cursor == (await positions(other))["before"]
    await client.execute("commit")
    await fed(other)
    assert await waiting(other) == ["late@sub#1", "early@sub#1"]


async def test_a_place_beyond_the_ends_is_the_end_of_this_topic(client: Client) -> None:
    await publish(client, "a", topic=OTHER)
    await publish(client, "b", "c")
    await publish(client, "d", topic=OTHER)
    for position, cursor in ((1_000, 3), (-5, 0), (2, 2)):
        await seek(client, position)
        assert (await view(client)).cursor == cursor
    with pytest.raises(NotFound, match="no subscription nobody"):
        await seek(client, 0, "nobody")


async def test_who_comes_back_while_it_is_dropped_has_another_generation(client: Client, connect: Connect) -> None:
    other = await connect()
    await seek(client, 0)
    async with client.transaction():
        await client.run(one("lock_name", what="topics"))
        task = asyncio.create_task(subscribe(other))
        await client.until_waits(other)
        await drop(client)
    await task
    assert (await view(client)).generation == 2
    assert await client.fetchval("select next from penstock.generation") == 2


# -- what it drops


async def test_all_that_has_not_begun_is_dropped_wherever_it_waits(client: Client) -> None:
    await publish(client, "a1", "a2", "a3", key="a")
    await publish(client, "s1", "s2", key="s")
    await publish(client, "plain", "stray", "begun")
    await fed(client)
    await occupy(client, "a")
    await put_aside(client, "a2", "a3", "s2")
    await put_aside(client, "s1", "stray", stray=SUB)
    await begin(client, "begun")
    assert await seek(client, 1_000) == 7
    assert (await waiting(client), await aside(client)) == (["begun@sub"], [])
    assert await bodies(client) == {"begun@sub": (b"begun", None)}
    assert await client.fetchval("select waiting from penstock.count where queue = 'sub'") == 1
    assert await client.fetchval("select count(*) from penstock.message") == 1


async def test_what_waited_behind_what_is_dropped_is_woken(client: Client) -> None:
    """A letter that was replayed has its place at the end of its key."""
    for behind in ("aside", "stray", "ready"):
        key = behind[0]
        await publish(client, f"{key}1", f"{key}2", key=key)
        await fed(client)
        await begin(client, f"{key}2")
    await put_aside(client, "a1", "a2", "s2", "r2")
    await put_aside(client, "s1", stray=SUB)
    assert await seek(client, 1_000) == 3
    assert (await waiting(client), await aside(client)) == (["a2@sub", "s2@sub", "r2@sub"], [])


async def test_a_claim_that_is_under_way_is_waited_for(client: Client, connect: Connect) -> None:
    """What it puts aside is dropped, what it takes is not."""
    other = await connect()
    await publish(client, "a1", "a2", "a3", key="a")
    await fed(client)
    await client.execute("begin")
    await occupy(client, "a")
    await put_aside(client, "a2", "a3")
    await client.execute("delete from penstock.ready")  # a1 runs
    task = asyncio.create_task(seek(other, 1_000))
    await client.until_waits(other)
    await client.execute("commit")
    assert await task == 2
    assert list(await seqs(client)) == ["a1@sub"]


async def test_a_settle_that_is_under_way_is_waited_for(client: Client, connect: Connect) -> None:
    """It wakes its key: what it wakes has left when it was too late to find it in ready, and runs once more than needed."""
    other = await connect()
    await publish(client, "a1", "a2", "a3", key="a")
    await fed(client)
    await occupy(client, "a")
    await put_aside(client, "a1", "a2", "a3")
    await client.execute("begin")
    await client.connection.fetch("delete from penstock.busy where key = 'a'")
    task = asyncio.create_task(seek(other, 1_000))
    await client.until_waits(other)
    await client.run(one("wake_heads", SUB, "a", width=2))
    await client.execute("commit")
    assert await task == 2
    assert (await waiting(client), await aside(client)) == (["a1@sub"], [])


async def test_a_settle_waits_and_finds_what_is_left(client: Client, connect: Connect) -> None:
    other = await connect()
    await publish(client, "a1", "a2", "a3", key="a")
    await fed(client)
    await occupy(client, "a")
    await put_aside(client, "a2", "a3")
    await begin(client, "a3")
    await client.execute("delete from penstock.ready; update penstock.busy set last = 1")  # a1 runs
    async with client.transaction():
        assert await seek(client, 1_000) == 1
        task = asyncio.create_task(other.run(one("free_keys", seqs="[1]", owner=1)))
        await client.until_waits(other)
    assert [tuple(row) for row in await task] == [(SUB, "a")]
    assert [row[0] for row in await other.run(one("wake_heads", SUB, "a", width=2))] == [(await seqs(client))["a3@sub"]]


async def test_strays_that_a_claim_calls_back_are_left_to_it(client: Client, connect: Connect) -> None:
    """It may be waiting for a key."""
    other = await connect()
    await publish(client, "one", "two")
    await fed(client)
    await put_aside(client, "one", "two", stray=SUB)
    await other.execute("begin")
    await other.run(one("call_strays_back", queue=SUB, task=SUB, limit=1))
    assert await seek(client, 1_000) == 1
    await other.execute("commit")
    assert (await waiting(client), await aside(client)) == (["one@sub"], [])


async def test_what_others_have_locked_is_not_waited_for(client: Client, connect: Connect) -> None:
    other = await connect()
    await publish(client, "a", "b")
    await fed(client)
    await begin(client, "a", "b")
    async with other.transaction():
        await other.execute("update penstock.message set failures = 1 where id = 'a@sub'")
        assert await seek(client, 0) == 0
    found = await bodies(client)
    assert (found["a@sub"], found["b@sub"]) == ((b"", (await positions(client))["a"]), (b"b", None))


# -- moments


async def test_a_place_is_found_by_time(client: Client) -> None:
    chance = random.Random(4)
    times = sorted(chance.randrange(100) for _ in range(60))
    for n, at in enumerate(times):
        await publish(client, *(f"x{n} {k}" for k in range(chance.randrange(4))), topic=OTHER)
        await publish(client, f"e{n}", at=at)
    places = list((await positions(client)).items())
    before = client.trips
    for moment in range(-1, 102):
        older = [place for (_, place), at in zip(places, times, strict=True) if at < moment]
        assert await client.run(position_at("facts", moment)) == (older[-1] if older else 0)
    assert client.trips - before == 103


async def test_where_times_go_back_it_is_one_of_the_places(client: Client) -> None:
    chance = random.Random(5)
    times = [n + chance.randrange(-8, 8) for n in range(80)]
    for n, at in enumerate(times):
        await publish(client, f"e{n}", at=at)
    at_place = dict(zip((await positions(client)).values(), times, strict=True))
    for moment in range(-10, 95):
        place = await client.run(position_at("facts", moment))
        assert place == 0 or at_place[place] < moment
        assert place == 80 or at_place[place + 1] >= moment


async def test_no_topic_and_no_events(client: Client) -> None:
    assert await client.run(position_at("facts", 5)) == 0
    with pytest.raises(NotFound, match="no topic nothing"):
        await client.run(position_at("nothing", 5))
