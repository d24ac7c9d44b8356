"""One statement publishes, one appends, whoever else does."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import psycopg
import pytest

from penstock.errors import ConfigurationError
from penstock.model.log import Append, Conflict, Event, Reused, SubscriptionSpec, TopicSpec
from penstock.model.statement import Rows
from penstock.stores.postgres import publishing
from penstock.stores.postgres.dialect import make_dialect
from penstock.stores.postgres.library import load
from penstock.stores.sql.executors import drive
from penstock.stores.sql.operations import Append as Appending
from penstock.stores.sql.operations import Group
from penstock.stores.sql.topics import declare
from tests.integration.postgres.client import ACCOUNTS, FACTS, Client, Connect, appended, given


@pytest.fixture
async def client(connect: Connect) -> Client:
    return await connect()


async def test_a_known_id_is_left_as_it_was(client: Client) -> None:
    assert await client.publish("a", "b", given=True) == [True, True]
    assert await client.publish("b", "c", "c", given=True) == [False, True, False]
    assert await client.publish("a", "b", given=True) == [False, False]
    assert await client.fetchval("select array_agg(id order by pos) from penstock.event") == ["a", "b", "c"]


async def test_events_with_chosen_ids_keep_their_order(client: Client) -> None:
    """They are inserted in another one."""
    events = [Event(id, "e", b"", given=id != "m") for id in ("z", "m", "a", "k")]
    await client.run(publishing.publish(FACTS, events, 1))
    assert await client.fetchval("select array_agg(id order by pos) from penstock.event") == ["z", "m", "a", "k"]


async def test_what_another_transaction_publishes_is_waited_for(client: Client, connect: Connect) -> None:
    other = await connect()
    for ends, created in (("rollback", True), ("commit", False)):
        await client.execute("begin")
        await client.publish(ends, given=True)
        second = asyncio.create_task(other.publish(ends, given=True))
        await client.until_waits(other)
        await client.execute(ends)
        assert await second == [created]


async def test_a_topic_is_made_at_first_use_and_keeps_its_kind(client: Client) -> None:
    assert await client.publish("a", topic=TopicSpec("new")) == [True]
    with pytest.raises(ConfigurationError, match="'new' is not versioned in this store, and versioned in this program"):
        await client.run(publishing.append(TopicSpec("new", versioned=True), [appended("k", ["b"])], 1))
    with pytest.raises(ConfigurationError, match="'accounts' is versioned in this store, and not versioned in this program"):
        await client.publish("b", topic=TopicSpec("accounts"))
    assert await client.fetchval("select count(*) from penstock.event") == 1


async def test_each_is_one_round_trip(client: Client) -> None:
    before = client.trips
    await client.publish("a", "b")
    await client.append(appended("k", ["1", "2"]), appended("l", ["3"], 7), given("m", "g", 2))
    await client.append(appended("k", ["x"], 1), given("m", "g", 2))
    assert client.trips - before == 3


async def test_nothing_is_no_round_trip(client: Client) -> None:
    assert (await client.publish(), await client.append(), client.trips) == ([], [], 0)


@pytest.mark.parametrize(("expected", "result"), [(None, 2), (0, 2), (3, Conflict(3, 0))])
async def test_a_new_key_has_version_0(client: Client, expected: int | None, result: object) -> None:
    assert await client.append(appended("k", ["a", "b"], expected)) == [result]
    assert await client.kept("k") == ([(1, "a"), (2, "b")] if result == 2 else [])
    assert await client.append(appended("k", ["c"])) == [3 if result == 2 else 1]


async def test_a_conflict_says_the_actual_version_and_keeps_nothing(client: Client) -> None:
    await client.append(appended("k", ["a", "b"]))
    async with client.transaction():
        await client.publish("mine")
        assert await client.append(appended("k", ["c"], 1), appended("l", ["d"], 0)) == [Conflict(1, 2), 1]
        assert await client.append(appended("k", ["e"], 0)) == [Conflict(0, 2)]
        assert await client.append(appended("k", ["f"], 2)) == [3]
    assert await client.kept("k") == [(1, "a"), (2, "b"), (3, "f")]
    assert await client.fetchval("select array_agg(id order by pos) from penstock.event") == ["a", "b", "mine", "d", "f"]


async def test_the_same_given_id_again_is_what_the_first_time_came_to(client: Client) -> None:
    assert await client.append(given("k", "g", 2, expected=0)) == [2]
    await client.append(appended("k", ["later"]))
    assert await client.append(given("k", "g", 2, expected=0), given("l", "g", 1)) == [2, 1]
    assert await client.append(given("k", "g", 2, expected=7)) == [2]
    assert await client.append(given("k", "g", 1)) == [Reused()]
    assert await client.append(given("k", "g", 3)) == [Reused()]
    assert await client.kept("k") == [(1, "g#k:1"), (2, "g#k:2"), (3, "later")]


async def test_several_appends_to_one_key_follow_each_other(client: Client) -> None:
    """As the writer's groups have them: in their order, and a statement for each turn of a key."""
    await client.append(appended("old", ["0"]))
    before = client.trips
    results = await client.append(
        appended("k", ["a"], 0),
        appended("old", ["1", "2"], 1),
        appended("k", ["b"], 1),
        appended("k", ["refused"], 1),
        appended("new", ["n"]),
        given("k", "g", 2),
        given("k", "g", 2, expected=0),
    )
    assert results == [1, 3, 2, Conflict(1, 2), 1, 4, 4]
    assert client.trips - before == 5
    assert await client.kept("k") == [(1, "a"), (2, "b"), (3, "g#k:1"), (4, "g#k:2")]
    assert await client.kept("old") == [(1, "0"), (2, "1"), (3, "2")]


async def test_many_keys_that_are_there_are_looked_up_by_key(client: Client) -> None:
    keys = [f"k{n}" for n in range(2_000)]
    assert await client.append(*(appended(key, [f"{key} a"], 0) for key in keys)) == [1] * 2_000
    asked = [appended(key, [f"{key} b"], n % 2) for n, key in enumerate(keys)]
    assert await client.append(*asked) == [2 if n % 2 else Conflict(0, 1) for n in range(2_000)]


@pytest.mark.parametrize("more", [False, True], ids=["alone", "with another"])
async def test_an_append_rings_if_somebody_may_have_subscribed(client: Client, more: bool) -> None:
    async def rings(*appends: Append) -> bool:
        others = [appended(f"beside {each.events[0].id}", [f"{each.events[0].id} too"]) for each in appends if more]
        group = Group([Appending(each) for each in (*appends, *others)], make_dialect(strict=False))
        for _, program in group.parts(1):
            await client.run(program)
        return group.rings

    assert await rings(appended("k", ["a"], 0)) is more  # one alone is asked for the short way
    assert await rings(appended("k", ["b"], 1)) is more
    await client.run(declare([SubscriptionSpec("audit", ACCOUNTS, "app", None, "beginning")], [], 1, make_dialect(strict=False)))
    assert await rings(appended("k", ["c"], 2))
    if not more:
        assert not await rings(appended("k", ["d"], 2))  # refused


async def test_ids_in_opposite_orders_do_not_deadlock(connect: Connect) -> None:
    one, other = await connect(), await connect()
    names = [f"{n:02}" for n in range(40)]
    for n in range(15):
        turn = [f"{n}-{name}" for name in names]
        created = await asyncio.gather(one.publish(*turn, given=True), other.publish(*reversed(turn), given=True))
        assert [sum(each) for each in zip(created[0], reversed(created[1]), strict=True)] == [1] * 40


RACES = [
    ("commit", appended("k", ["b"]), 2, [(1, "a"), (2, "b")]),
    ("commit", appended("k", ["b"], 0), Conflict(0, 1), [(1, "a")]),
    ("rollback", appended("k", ["b"], 0), 1, [(1, "b")]),
]


@pytest.mark.parametrize(("ends", "append", "result", "kept"), RACES)
async def test_two_make_one_key_at_the_same_time(
    client: Client, connect: Connect, ends: str, append: Append, result: object, kept: list[tuple[int, str]]
) -> None:
    await meet(client, await connect(), ends, appended("k", ["a"]), append, result)
    assert await client.kept("k") == kept


@pytest.mark.parametrize(
    ("ends", "append", "result", "kept"),
    [
        ("commit", appended("k", ["b"]), 3, ["first", "a", "b"]),
        ("commit", appended("k", ["b"], 1), Conflict(1, 2), ["first", "a"]),
        ("rollback", appended("k", ["b"], 1), 2, ["first", "b"]),
    ],
)
async def test_two_append_to_one_key_at_the_same_time(
    client: Client, connect: Connect, ends: str, append: Append, result: object, kept: list[str]
) -> None:
    await client.append(appended("k", ["first"]))
    await meet(client, await connect(), ends, appended("k", ["a"]), append, result)
    assert await client.kept("k") == [*enumerate(kept, 1)]


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(("ends", "count", "result"), [("commit", 2, 2), ("commit", 3, Reused()), ("rollback", 2, 2)])
async def test_the_same_given_id_at_the_same_time(
    client: Client, connect: Connect, there: bool, ends: str, count: int, result: object
) -> None:
    """The second one's snapshot knows nothing of the first one."""
    if there:
        await client.append(appended("k", ["first"]))
    result = result + there if isinstance(result, int) else result
    await meet(client, await connect(), ends, given("k", "g", 2), given("k", "g", count), result)
    assert [id for _, id in await client.kept("k")] == ["first"] * there + ["g#k:1", "g#k:2"]


async def meet(client: Client, other: Client, ends: str, append: Append, second: Append, result: object) -> None:
    """Both in open transactions; the other's stays usable whatever it is told."""
    await client.append(appended("another", ["another"]))
    await client.execute("begin")
    await other.execute("begin")
    await client.append(append)
    waiting = asyncio.create_task(other.append(second))
    await client.until_waits(other)
    await client.execute(ends)
    assert await waiting == [result]
    await other.publish("usable")
    await other.execute("commit")
    assert await client.fetchval("select count(*) from penstock.event where id = 'usable'") == 1


async def test_appends_to_many_keys_do_not_deadlock_and_keep_their_order(connect: Connect) -> None:
    clients = [await connect() for _ in range(4)]
    keys = [f"{n:02}" for n in range(12)]

    async def work(client: Client, name: str) -> None:
        chance = random.Random(name)
        for n in range(40):
            async with client.transaction():
                await client.append(*(appended(key, [f"{name}:{n}:{key}:{e}" for e in range(3)]) for key in chance.sample(keys, 5)))

    await asyncio.gather(*(work(client, str(n)) for n, client in enumerate(clients)))
    for key in keys:
        versions = [version for version, _ in await clients[0].kept(key)]
        assert versions == [*range(1, len(versions) + 1)]
        assert await clients[0].fetchval("select version from penstock.stream where key = $1", key) == len(versions)


async def test_all_columns_are_kept(client: Client) -> None:
    from_publish = Event("a", "typed", b"body", "key", b"headers", given=True)
    from_append = Event("b", "typed", b"body", None, b"headers")
    await client.run(publishing.publish(FACTS, [from_publish], 5))
    await client.run(publishing.append(ACCOUNTS, [Append(ACCOUNTS, "k", [from_append], None)], 6))
    rows = await client.connection.fetch("select id, type, body, key, headers, given, at, version from penstock.event order by pos")
    assert [tuple(row) for row in rows] == [
        ("a", "typed", b"body", "key", b"headers", True, 5, None),
        ("b", "typed", b"body", "k", b"headers", False, 6, 1),
    ]


async def test_a_user_of_psycopg_appends_in_a_transaction_of_theirs(client: Client, postgres_url: str) -> None:
    library = load("psycopg")
    with psycopg.connect(postgres_url) as opened:
        connection: Any = opened  # typed, it takes literal texts only

        def run(sql: str, params: Any) -> Rows:
            return connection.execute(sql, params).fetchall()

        events = [Event("a", "e", b"1", given=True), Event("b", "e", b"2", "key", b"h")]
        assert [each.created for each in drive(publishing.publish(FACTS, events, 1), library, run)] == [True, True]
        assert drive(publishing.append(ACCOUNTS, [given("k", "g", 2), appended("l", ["c"], 4)], 1), library, run) == [2, Conflict(4, 0)]
        assert await client.fetchval("select count(*) from penstock.event") == 0
    assert await client.fetchval("select array_agg(id order by pos) from penstock.event") == ["a", "b", "g#k:1", "g#k:2"]


@pytest.mark.parametrize(("ids", "version"), [(["d"], 4), (["d", "e"], 5)])
async def test_a_key_that_was_made_meanwhile_is_met_at_its_version(connect: Connect, ids: list[str], version: int) -> None:
    """The statement's snapshot is older than its wait; what it finds is not."""
    first, second = await connect(strict=True), await connect(strict=True)
    async with first.transaction():
        assert await first.append(appended("new", ["a", "b", "c"])) == [3]
        late = asyncio.create_task(second.append(appended("new", ids, expected=3)))
        await first.until_waits(second)
    assert await late == [version]
