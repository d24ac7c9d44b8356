"""The feed neither loses nor reorders."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import asyncpg
import pytest

from penstock.errors import ConfigurationError
from penstock.model.log import Conflict, TopicSpec
from penstock.model.statement import Statement
from penstock.stores.postgres import floor
from penstock.stores.postgres.guard import OURS
from tests.integration.postgres.client import Client, Connect, appended, create

Names = list[str]


@pytest.fixture
async def client(connect: Connect) -> Client:
    return await connect()


async def ids(client: Client, after: int = 0, *, strict: bool = False, topic: str = "facts") -> Names:
    return [each.id for each in await client.run(floor.read(topic, after, 100, strict=strict))]


async def test_events_are_read_in_pages(client: Client) -> None:
    assert await ids(client) == []
    await client.publish("a", "b")
    await client.publish("elsewhere", topic=TopicSpec("other"))
    await client.publish("c")
    first = await client.run(floor.read("facts", 0, 2))
    assert [each.id for each in first] == ["a", "b"]
    assert [(each.type, each.body, each.at, each.headers) for each in first[:1]] == [("e", b"a", 1_000, {})]
    assert await ids(client, first[-1].position) == ["c"]
    assert await ids(client, first[-1].position + 2) == []


async def test_no_reader_passes_an_open_appender(client: Client, connect: Connect) -> None:
    other = await connect()
    await client.publish("before")
    await client.execute("begin")
    await client.publish("late")
    await other.publish("early")
    assert await ids(other) == ["before"]
    assert await ids(other, strict=True) == ["before", "early"]  # a cursor alone would go on from there
    await client.execute("commit")
    assert await ids(other) == ["before", "late", "early"]


@pytest.mark.parametrize("gap", [0, 1])
async def test_nothing_is_lost_whatever_happens_between_a_readers_statements(client: Client, connect: Connect, gap: int) -> None:
    """After that many of its statements one appender draws and stays open, and another one commits behind it."""
    late, early = await connect(), await connect()
    await client.publish("before")

    async def meanwhile() -> None:
        await late.execute("begin")
        await late.publish("late")
        await early.publish("early")

    first = await client.run(floor.read("facts", 0, 100), {client.trips + gap: meanwhile})
    await late.execute("commit")
    assert [each.id for each in first] == ["before"]
    assert await ids(client, first[-1].position) == ["late", "early"]


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_a_reader_that_would_see_too_little_is_refused(client: Client, level: str) -> None:
    async with client.transaction(isolation=level.replace(" ", "_")):
        with pytest.raises(ConfigurationError, match=f"not in a transaction that is {level}"):
            await ids(client)
    async with client.transaction():
        assert await ids(client) == []


async def test_a_hole_that_was_rolled_back_is_passed(client: Client) -> None:
    await client.publish("a")
    await client.execute("begin")
    await client.publish("gone", "gone too")
    await client.execute("rollback")
    await client.publish("b")
    assert await ids(client) == ["a", "b"]


@pytest.mark.parametrize("before", [True, False])
async def test_what_follows_a_savepoint_that_was_undone_is_held(client: Client, connect: Connect, before: bool) -> None:
    """With the savepoint the lock is gone that was taken behind it."""
    other = await connect()
    await client.execute("begin")
    if before:
        await client.publish("first")
    await client.execute("savepoint s")
    await client.publish("undone")
    await client.execute("rollback to s")
    await other.publish("others")
    await client.publish("late")
    await other.publish("early")
    assert await ids(other) == ([] if before else ["others"])
    await client.execute("commit")
    assert await ids(other) == ["first"] * before + ["others", "late", "early"]


async def test_a_savepoint_that_was_released_holds_on(client: Client, connect: Connect) -> None:
    other = await connect()
    async with client.transaction():
        async with client.transaction():
            await client.publish("late")
        await other.publish("early")
        assert await ids(other) == []
    assert await ids(other) == ["late", "early"]


async def test_a_refused_append_leaves_nothing_to_wait_for(client: Client, connect: Connect) -> None:
    other = await connect()
    await client.append(appended("k", ["a"]))
    async with client.transaction():
        await client.append(appended("k", ["b"], 0))
    await other.append(appended("k", ["c"], 1))
    assert await ids(other, topic="accounts") == ["a", "c"]


@pytest.mark.parametrize("kind", ["publish", "append"])
@pytest.mark.parametrize("strict", [False, True])
async def test_the_lock_is_taken_before_a_position_is_drawn(client: Client, connect: Connect, kind: str, strict: bool) -> None:
    """Somebody has that very lock exclusively: who waits for it has drawn nothing."""
    other = await connect(strict=strict)
    await client.publish("a")
    await client.append(appended("k", ["a"]))
    last = await drawn(client)
    key = await floor_key(client, last)
    await client.execute(f"select pg_advisory_lock({STRICT if strict else key})")
    waiting = asyncio.create_task(write(other, kind))
    await client.until_waits(other)
    assert await drawn(client) == last
    await client.execute(f"select pg_advisory_unlock({STRICT if strict else key})")
    await waiting
    assert await drawn(client) == last + 1


STRICT = "'penstock.event_pos'::regclass::oid::int, 0"


async def write(client: Client, kind: str) -> None:
    await (client.publish("b") if kind == "publish" else client.append(appended("k", ["b"])))


async def drawn(client: Client) -> int:
    return int(await client.fetchval("select pg_sequence_last_value('penstock.event_pos')"))


async def floor_key(client: Client, last: int) -> int:
    return int(await client.fetchval("select penstock.floor_key($1)", last))


PUBLISHED = ("facts", False, False, 1, False, "x", "e", None, None, b"")
APPENDED = ("accounts", False, 1, "k", None, 1, 1, None, None, False, "x", "e", None, b"")


@pytest.mark.parametrize(
    ("statement", "way"),
    [
        (Statement("publish_events", OURS, PUBLISHED, len(PUBLISHED)), ["floor"]),
        (Statement("append_events", OURS, APPENDED, len(APPENDED)), ["moved", "asked", "floor"]),
    ],
    ids=lambda each: each.name if isinstance(each, Statement) else "",
)
async def test_the_plan_draws_from_what_has_the_lock(client: Client, statement: Statement, way: Names) -> None:
    """The functions have become part of the statement."""
    nodes = [*walk(await client.plan(statement))]
    (drawing,) = [node for node in nodes if any("nextval" in each for each in node.get("Output", ()))]
    for cte in way:
        assert cte in scans(drawing)
        (drawing,) = [node for node in nodes if node.get("Subplan Name") == f"CTE {cte}"]
    assert any("pg_advisory_xact_lock_shared" in each for each in drawing["Output"])
    assert {"held", "alone"} <= {node.get("Subplan Name", "").removeprefix("CTE ") for node in nodes}


def walk(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from walk(child)


def scans(node: Mapping[str, Any]) -> set[str]:
    return {each["CTE Name"] for each in walk(node) if each["Node Type"] == "CTE Scan"}


async def test_the_plan_reads_the_floors_after_the_last_position(client: Client) -> None:
    plan = await client.plan(Statement("settled"))
    (last,) = [node for node in walk(plan) if any("pg_sequence_last_value" in each for each in node.get("Output", ()))]
    (locks,) = [node for node in walk(plan) if node.get("Function Name") == "pg_lock_status"]
    (floors,) = [node for node in walk(plan) if node.get("Subplan Name", "").startswith("SubPlan") and locks in walk(node)]
    assert last["Subplan Name"] == "CTE l"
    assert "l.last" in locks["Filter"]
    assert any(floors["Subplan Name"] in each for each in plan["Output"])


def test_nobody_reads_the_sequence_as_a_table() -> None:
    """It shows values ahead of the true one for moments that no test can meet for sure."""
    folder = files("penstock.stores.postgres")
    texts = [path.read_text("utf-8") for part in ("sql", "migrations") for path in folder.joinpath(part).iterdir()]
    named = [match for text in texts for match in re.findall(r"[^\n]*penstock\.event_pos[^\n]*", text)]
    assert len(named) > 5
    assert [line for line in named if "'penstock.event_pos'" not in line and "create sequence" not in line] == []


async def test_who_holds_the_feed_back_is_named(client: Client, connect: Connect) -> None:
    other, watcher = await connect(), await connect()
    assert await watcher.run(floor.who_holds()) is None
    await client.publish("a")
    await client.execute("begin")
    await client.publish("b")
    await other.execute("begin")
    await other.publish("c")
    oldest = await watcher.run(floor.who_holds())
    assert oldest is not None
    assert (oldest.pid, oldest.floor, oldest.prepared, oldest.state) == (client.pid, 1, None, "idle in transaction")
    assert 0 <= (oldest.seconds or 0) < 60
    await client.execute("commit")
    second = await watcher.run(floor.who_holds())
    assert second is not None
    assert (second.pid, second.floor) == (other.pid, 2)
    await other.execute("rollback")
    assert await watcher.run(floor.who_holds()) is None


async def test_many_statements_hold_one_lock(client: Client, connect: Connect) -> None:
    other = await connect()
    async with client.transaction():
        for n in range(100):
            await client.publish(f"mine {n}")
            await other.publish(f"other {n}")
        assert await other.fetchval("select count(*) from pg_locks where locktype = 'advisory'") == 1
    assert len(await client.run(floor.read("facts", 0, 1000))) == 200


@pytest.mark.parametrize("refused", [0, 20])
async def test_many_appends_hold_two_locks_at_the_most(client: Client, connect: Connect, refused: int) -> None:
    other = await connect()
    async with client.transaction():
        for n in range(refused):
            assert await client.append(appended("mine", [f"refused {n}"], 7)) == [Conflict(7, 0)]
            await other.publish(f"between {n}")
        for n in range(100):
            assert await client.append(appended("mine", [f"mine {n}"], n)) == [n + 1]
            await other.publish(f"other {n}")
        assert await other.fetchval("select count(*) from pg_locks where locktype = 'advisory'") in (1, 2)


async def test_a_floor_that_is_too_new_is_not_believed(client: Client, connect: Connect) -> None:
    other = await connect()
    number = await client.fetchval("select 'penstock.event_pos'::regclass::oid")
    await client.execute(f"set penstock_floor.of_{number} = '1000000'")
    await client.execute("begin")
    await client.publish("late")
    await other.publish("early")
    assert await ids(other) == []
    await client.execute("rollback")


async def test_strict_appenders_go_one_after_the_other(connect: Connect) -> None:
    first, second, reader = await connect(strict=True), await connect(strict=True), await connect()
    await first.execute("begin")
    await first.publish("a")
    waiting = asyncio.create_task(second.append(appended("k", ["b"])))
    await reader.until_waits(second)
    assert await ids(reader) == await ids(reader, strict=True) == []
    await first.publish("c")
    await first.execute("commit")
    assert await waiting == [1]
    assert await ids(reader) == await ids(reader, strict=True) == ["a", "c"]
    assert await ids(reader, strict=True, topic="accounts") == ["b"]


async def test_a_reader_with_a_floor_is_right_beside_strict_appenders(connect: Connect) -> None:
    strict, other = await connect(strict=True), await connect()
    async with strict.transaction():
        await strict.publish("late")
        await other.publish("early")
        assert await ids(other) == []
    assert await ids(other) == ["late", "early"]


async def test_tenants_do_not_hold_back_each_other(client: Client, connect: Connect) -> None:
    tenant = await connect("shop")
    await create(tenant, "shop")
    async with tenant.transaction():
        await tenant.publish("theirs")
        await client.publish("ours")
        assert await ids(client) == ["ours"]
    assert await ids(tenant) == ["theirs"]


async def test_a_role_that_may_create_nothing_declares_appends_and_reads(client: Client, connect: Connect) -> None:
    await client.execute("""
        do $$ begin create role clerk login; exception when duplicate_object then null; end $$;
        grant usage on schema penstock to clerk;
        grant usage on all sequences in schema penstock to clerk;
        grant select, insert, update on all tables in schema penstock to clerk
    """)
    clerk = await connect(user="clerk")
    assert await clerk.publish("a") == [True]
    assert await clerk.append(appended("k", ["b"])) == [1]
    await client.execute("begin")
    await client.publish("late")
    await clerk.publish("early")
    assert await ids(clerk) == ["a"]
    holder = await clerk.run(floor.who_holds())
    assert holder is not None
    assert (holder.pid, holder.seconds) == (client.pid, None)
    await client.execute("rollback")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await clerk.execute("create sequence penstock.another")


def test_a_standby_is_refused() -> None:
    reading = floor.read("facts", 0, 10)
    next(reading)
    with pytest.raises(ConfigurationError, match="give the primary's URL"):
        reading.send([(5, None, True, "read committed")])
