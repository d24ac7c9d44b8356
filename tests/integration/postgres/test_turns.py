"""Names, roles, counters and the calendar: what one decides for all, while another does the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from penstock.model.schedule import Missed, Schedule, Template, Timing, digest
from penstock.model.statement import Program, Rows
from penstock.model.unique import Hold
from penstock.ports.leases import Enrolment
from penstock.stores.sql import leases, schedules, uniques
from penstock.stores.sqlite.dialect import SQLITE
from penstock.stores.sqlite.put import put
from tests.integration.postgres.client import Client, Connect
from tests.integration.postgres.stage import QUEUE, counts, enrol, in_one, one

# SQLite's dialect takes no turns: those of the texts themselves are what is looked at.
HOURLY = 3600 * 1_000_000


@pytest.fixture
async def client(connect: Connect) -> Client:
    return await connect()


@pytest.fixture
async def other(connect: Connect) -> Client:
    return await connect()


# -- unique names


def asked(job: str, *names: str) -> Sequence[tuple[Hold, str]]:
    return [(Hold(name), job) for name in names]


async def test_names_are_locked_in_one_order(client: Client, other: Client, connect: Connect) -> None:
    """Whoever has not got the first has none that others need; who comes second is told who holds them."""
    watcher = await connect()
    await client.run(uniques.take(asked("old", "B", "a"), 1))
    await client.run(one("loosen_unique", names='["a", "B"]', jobs='["old"]'))
    async with watcher.transaction():
        await watcher.execute("select from penstock.unique where name = 'B' for update")
        both = []
        for each, names in ((client, ("a", "B")), (other, ("B", "a"))):
            both.append(asyncio.create_task(each.run(uniques.take(asked(f"{each.pid}", *names), 2))))
            await watcher.until_waits(each)
        await watcher.execute("select from penstock.unique where name = 'a' for update nowait")
    first = f"{client.pid}"
    assert await asyncio.gather(*both) == [{"B": (first, True), "a": (first, True)}] * 2


@pytest.mark.parametrize("ends", ["commit", "rollback"])
async def test_who_comes_second_waits_and_is_told_who_holds(client: Client, other: Client, ends: str) -> None:
    await client.execute("begin")
    assert await client.run(uniques.take(asked("first", "b", "a"), 1)) == {"a": ("first", True), "b": ("first", True)}
    second = asyncio.create_task(other.run(uniques.take(asked("second", "a", "c", "b"), 1)))
    await client.until_waits(other)
    await client.execute(ends)
    holder = "first" if ends == "commit" else "second"
    assert await second == {"a": (holder, True), "b": (holder, True), "c": ("second", True)}


@pytest.mark.parametrize(("statement", "more"), [("free_unique", {"now": 1}), ("loosen_unique", {}), ("keep_unique", {})])
async def test_names_are_let_go_in_the_same_order(client: Client, other: Client, statement: str, more: dict[str, int]) -> None:
    await client.run(uniques.take(asked("job", "a", "B"), 1))
    async with client.transaction():
        await client.execute("select from penstock.unique where name = 'B' for update")
        going = asyncio.create_task(other.run(one(statement, names='["a", "B"]', jobs='["job"]', **more)))
        await client.until_waits(other)
        await client.execute("select from penstock.unique where name = 'a' for update nowait")
    await going
    held = await client.connection.fetch("select held from penstock.unique")
    assert [row[0] for row in held] == {"free_unique": [], "loosen_unique": [False] * 2, "keep_unique": [True] * 2}[statement]


async def test_a_name_is_held_until_the_end_of_its_job_is_committed(client: Client, other: Client) -> None:
    """Nobody waits for that."""
    await client.run(uniques.take(asked("first", "a"), 1))
    async with client.transaction():
        await client.run(one("free_unique", names='["a"]', jobs='["first"]', now=1))
        assert await other.run(uniques.take(asked("second", "a"), 1)) == {"a": ("first", True)}
    assert await other.run(uniques.take(asked("second", "a"), 1)) == {"a": ("second", True)}


async def test_a_name_whose_window_is_over_is_forgotten_unless_it_is_just_taken(client: Client, other: Client) -> None:
    await client.run(uniques.take(asked("first", "a", "b"), 1))
    await client.run(one("loosen_unique", names='["a", "b"]', jobs='["first"]'))
    async with client.transaction():
        assert await client.run(uniques.take(asked("second", "a"), 2)) == {"a": ("second", True)}
        await other.run(one("forget_unique", now=9, limit=9))
    assert [row[0] for row in await client.connection.fetch("select name from penstock.unique")] == ["a"]


# -- who leads


async def test_one_of_two_leads(client: Client, other: Client) -> None:
    await enrol(client, 1, 2)
    for until, winner in ((10, 1), (20, 2)):
        async with client.transaction():
            assert await client.run(leases.lead("maintenance", winner, 10, until - 10)) is True
            second = asyncio.create_task(other.run(leases.lead("maintenance", 3 - winner, 10, until - 10)))
            await client.until_waits(other)
        assert await second is False
    assert [tuple(row) for row in await client.connection.fetch("select owner, epoch, until from penstock.lease")] == [(2, 2, 20)]


async def test_a_leader_that_is_newer_than_the_look_lives(client: Client, other: Client) -> None:
    """Whoever waited for the row looks for its owner as of now, not as of before the wait."""
    await enrol(client, 1)
    await client.execute("insert into penstock.lease values ('maintenance', 7, 1, 100)")
    async with client.transaction():
        await client.execute("select from penstock.lease for update")
        second = asyncio.create_task(other.run(leases.lead("maintenance", 1, 10, 5)))
        await client.until_waits(other)
        await enrol(client, 2)
        await client.execute("update penstock.lease set owner = 2")
    assert await second is False
    await client.execute("delete from penstock.worker where incarnation = 2")
    assert await other.run(leases.lead("maintenance", 1, 10, 5)) is True


# -- workers that come and go


def worker(incarnation: int, *hooks: str) -> Enrolment:
    return Enrolment(incarnation, "app", f"w{incarnation}", 1, "here", (QUEUE,), ("send",), hooks)


async def test_an_older_release_does_not_drop_the_hook_of_a_newer_one_beside_it(client: Client, other: Client) -> None:
    await client.run(leases.enrol(worker(1, "send"), 1))
    await client.execute("delete from penstock.worker")
    async with client.transaction():
        await client.run(leases.enrol(worker(2, "send"), 1))
        older = asyncio.create_task(in_one(other, leases.enrol(worker(3), 1)))
        await client.until_waits(other)
    await older
    assert await client.fetchval("select count(*) from penstock.hook") == 1


async def test_a_worker_that_leaves_beside_another_that_comes(client: Client, other: Client) -> None:
    await client.run(leases.enrol(worker(1, "send"), 1))
    async with client.transaction():
        await client.run(leases.enrol(worker(2), 1))
        leaving = asyncio.create_task(in_one(other, leases.leave(1, 1, put)))
        await client.until_waits(other)
    assert await leaving == 0
    assert await client.fetchval("select count(*) from penstock.hook") == 0


# -- counters


async def test_folds_and_bumps_beside_each_other(client: Client, other: Client, connect: Connect) -> None:
    watcher, producer = await connect(), await connect()
    for _ in range(10):
        await producer.run(bump(waiting=1))
    await client.execute("begin")
    assert await client.run(one("fold_counters", limit=4)) == [(4,)]
    second = asyncio.create_task(other.run(one("fold_counters", limit=100)))
    await watcher.until_waits(other)
    await producer.run(bump(waiting=1))
    assert await counts(watcher) == {"waiting": 11}
    await client.execute("commit")
    assert await second == [(6,)]
    assert await counts(watcher) == {"waiting": 11}
    assert await watcher.connection.fetch("select queue, waiting from penstock.counter") == [(QUEUE, 10)]
    assert await client.run(one("fold_counters", limit=100)) == [(1,)]
    assert await client.run(one("fold_counters", limit=100)) == [(0,)]
    assert await counts(watcher) == {"waiting": 11}


async def test_a_fold_passes_over_what_another_takes(client: Client, other: Client) -> None:
    await client.run(bump(waiting=1))
    await client.run(one("bump", "another", 1, 0, 0, 0, 0, 0, 0, 0, 0, width=10))
    async with client.transaction():
        assert await client.run(one("fold_counters", limit=1)) == [(1,)]
        assert await other.run(one("fold_counters", limit=9)) == [(1,)]
    assert await client.connection.fetch("select queue, waiting from penstock.counter order by queue") == [("another", 1), (QUEUE, 1)]


async def test_a_fold_that_is_rolled_back_loses_nothing(client: Client) -> None:
    await client.run(bump(waiting=3, dead=1))
    await client.execute("begin")
    await client.run(one("fold_counters", limit=100))
    await client.execute("rollback")
    assert await counts(client) == {"waiting": 3, "dead": 1}


async def test_the_sum_is_right_at_every_moment(client: Client, other: Client, connect: Connect) -> None:
    """What moves from one count to another, while two fold: nobody ever sees it twice, or not at all."""
    folders, watcher = [other, await connect()], await connect()
    await client.run(bump(waiting=1000))
    seen: list[int] = []

    async def move() -> None:
        for _ in range(200):
            await client.run(bump(waiting=-1, running=1))

    async def fold(folder: Client) -> None:
        while not moving.done():
            await folder.run(one("fold_counters", limit=3))

    async def look() -> None:
        while not moving.done():
            seen.append(await watcher.fetchval("select waiting + running from penstock.count"))

    moving = asyncio.create_task(move())
    await asyncio.gather(moving, look(), *(fold(each) for each in folders))
    assert set(seen) == {1000}
    assert await counts(client) == {"waiting": 800, "running": 200}


def bump(waiting: int = 0, running: int = 0, dead: int = 0) -> Program[Rows]:
    return one("bump", QUEUE, waiting, 0, running, dead, 0, 0, 0, 0, 0, width=10)


# -- the calendar


def schedule(name: str, every: int = HOURLY, missed: Missed = "once") -> Schedule:
    return Schedule(name, Timing(every=every), missed, Template("send", QUEUE, b"{}"))


def move(own: Schedule, seen: int, following: int) -> Program[Rows]:
    """As one slot of it fires."""
    identity = {"app": "app", "name": own.name, "digest": digest(own.encoded()), "seen": seen}
    return one("move_schedule", **identity, next=following, slot=seen, fired=seen, job="job", scope=schedules.scope("app", own.name))


async def test_two_workers_of_a_release_declare_it_once(client: Client, other: Client) -> None:
    await enrol(client, 1, 2)
    async with client.transaction():
        await client.run(schedules.declare(1, "app", [schedule("a"), schedule("b")], 1, SQLITE))
        second = asyncio.create_task(in_one(other, schedules.declare(2, "app", [schedule("b"), schedule("a")], 2, SQLITE)))
        await client.until_waits(other)
    await second
    definitions = await client.connection.fetch("select name, generation from penstock.definition order by name")
    assert [tuple(row) for row in definitions] == [("a", 1), ("b", 1)]
    assert [(each.schedule.name, each.next) for each in await client.run(schedules.views())] == [("a", HOURLY + 1), ("b", HOURLY + 1)]


async def test_of_two_releases_at_once_one_is_the_newer(client: Client, other: Client) -> None:
    await enrol(client, 1, 2)
    async with client.transaction():
        await client.run(schedules.declare(1, "app", [schedule("a")], 1, SQLITE))
        second = asyncio.create_task(in_one(other, schedules.declare(2, "app", [schedule("a", 5)], 2, SQLITE)))
        await client.until_waits(other)
    await second
    assert [each.next for each in await client.run(schedules.views())] == [7]
    await client.execute("delete from penstock.worker where incarnation = 2")
    await client.run(schedules.review(3, SQLITE))
    assert [each.next for each in await client.run(schedules.views())] == [HOURLY + 3]


async def test_reviews_take_turns(client: Client, other: Client) -> None:
    async with client.transaction():
        await client.run(schedules.review(1, SQLITE))
        second = asyncio.create_task(in_one(other, schedules.review(1, SQLITE)))
        await client.until_waits(other)
        assert not second.done()
    await second


async def test_a_slot_that_fires_before_a_review_is_not_brought_back(client: Client, other: Client) -> None:
    """A newer definition, of the same times, goes on from where the older one is when its turn has come."""
    await enrol(client, 1, 2)
    older = schedule("a")
    await in_one(client, schedules.declare(1, "app", [older], 1, SQLITE))
    async with client.transaction():
        assert await client.run(move(older, HOURLY + 1, 2 * HOURLY + 1)) == [("a",)]
        newer = asyncio.create_task(in_one(other, schedules.declare(2, "app", [schedule("a", missed="all")], 5, SQLITE)))
        await client.until_waits(other)
    await newer
    assert [(each.next, each.schedule.missed) for each in await client.run(schedules.views())] == [(2 * HOURLY + 1, "all")]


async def test_a_slot_that_a_review_has_locked_is_still_due_afterwards(client: Client, other: Client) -> None:
    await enrol(client, 1)
    await in_one(client, schedules.declare(1, "app", [schedule("a")], 1, SQLITE))
    due = HOURLY + 1
    async with client.transaction():
        await client.run(schedules.review(5, SQLITE))
        assert await other.run(move(schedule("a"), due, 2 * due)) == []
    assert [(each.next, each.anchor) for each in await client.run(schedules.due(due, 9))] == [(due, 1)]
    assert await other.run(move(schedule("a"), due, 2 * due)) == [("a",)]
    assert await other.run(move(schedule("a"), due, 2 * due)) == []
