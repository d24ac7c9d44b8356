"""One statement puts, whoever else does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from inspect import isawaitable
from itertools import pairwise
from typing import Any, cast

import asyncpg
import psycopg
import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from penstock.integrations.sqlalchemy import foreign
from penstock.model.message import Message, Options, Placed
from penstock.model.outcome import Done
from penstock.model.statement import Rows
from penstock.model.unique import Hold
from penstock.stores.postgres.drivers import as_foreign
from penstock.stores.postgres.library import Driver, load
from penstock.stores.postgres.put import put
from penstock.stores.sql.executors import drive_async
from penstock.testing.conformance.options import with_options
from tests.integration.postgres.client import NOW, Connect
from tests.integration.postgres.play import QUEUE, TASK, Worker, ids, message

KNOWN = Placed("a", created=False)


@pytest.fixture
async def worker(connect: Connect) -> Worker:
    return await Worker(await connect(), 1).enrol()


def named(id: str, name: str = "n", **more: Any) -> Message:
    hold = Hold(f"task/{name}")
    return with_options(message(id, unique=hold, **more), Options(unique=hold))


async def holders(worker: Worker) -> dict[str, str]:
    return {row[0]: row[1] for row in await worker.client.connection.fetch("select name, job from penstock.unique where held")}


async def test_a_put_is_one_round_trip_and_counts_itself(worker: Worker) -> None:
    before = worker.client.trips
    many = [message(f"m{n}") for n in range(300)]
    placed = await worker.put(*many, message("a", given=True), message("later", due=NOW + 1), message("b", queue="other"))
    assert worker.client.trips - before == 1
    assert placed == [Placed(f"m{n}") for n in range(300)] + [Placed("a"), Placed("later"), Placed("b")]
    assert await worker.counts() == {"waiting": 301, "delayed": 1}
    assert await worker.counts("other") == {"waiting": 1}


async def test_nothing_is_no_round_trip(worker: Worker) -> None:
    before = worker.client.trips
    assert (await worker.put(), worker.client.trips) == ([], before)


async def test_places_are_in_the_order_given_whatever_the_ids(worker: Worker) -> None:
    given = [message(id, given=True, key="k") for id in ("c", "a", "b")]
    await worker.put(given[0], message("z", key="k"), *given[1:], message("y", key="k"))
    assert ids(await worker.claim()) == ["c", "z", "a", "b", "y"]


async def test_a_message_comes_out_as_it_went_in(worker: Worker) -> None:
    every = bytes(range(256))
    sent = Message("a", "q", "task", every, b'{"h": "1"}', b'{"attempts":3}', key="k", priority=9, lifetime=50, delay=0)
    await worker.put(sent)
    (got,) = await worker.claim()
    assert (got.body, got.raw_headers, got.options, got.key, got.expires) == (every, sent.headers, sent.options, "k", NOW + 50)
    assert (got.attempt, got.deaths, got.enqueued) == (1, 0, NOW)


async def test_of_many_that_are_alike_each_has_its_own_body(worker: Worker) -> None:
    every = bytes(range(256))
    sent = {f"m{n}": every[: n % 257] for n in range(600)}
    await worker.put(*(Message(id, QUEUE, TASK, body) for id, body in sent.items()))
    got = await worker.claim(1_000)
    assert [(each.job_id, each.body) for each in got] == list(sent.items())


async def test_a_known_id_is_left_as_it_was(worker: Worker) -> None:
    twice = [message("a", given=True), message("b", given=True), message("a", given=True, queue="other")]
    assert await worker.put(*twice) == [Placed("a"), Placed("b"), KNOWN]
    await worker.done(await worker.claim(1))
    assert await worker.put(message("a", given=True), message("c")) == [KNOWN, Placed("c")]
    assert await worker.counts() == {"waiting": 2, "done": 1, "kept": 1}


async def test_any_other_id_that_is_there_keeps_the_whole_put_out(worker: Worker) -> None:
    await worker.put(message("a"))
    for bad in ([message("b"), message("a")], [message("c"), message("c")], [message("d", given=True), message("a")]):
        with pytest.raises(asyncpg.UniqueViolationError):
            await worker.put(*bad)
    assert await worker.where() == {"ready": ["a"]}


@pytest.mark.parametrize(("ends", "created"), [("commit", False), ("rollback", True)])
async def test_of_two_puts_of_one_id_the_second_waits(worker: Worker, connect: Connect, ends: str, created: bool) -> None:
    other = Worker(await connect())
    await worker.client.execute("begin")
    assert await worker.put(message("a", given=True)) == [Placed("a")]
    second = asyncio.create_task(other.put(message("a", given=True), message("b")))
    await worker.client.until_waits(other.client)
    await worker.client.execute(ends)
    assert await second == [Placed("a", created), Placed("b")]
    assert await worker.counts() == {"waiting": 2}


async def test_two_puts_of_the_same_ids_do_not_wait_in_a_circle(worker: Worker, connect: Connect) -> None:
    other = Worker(await connect())
    names = [f"{n:04}" for n in range(1_000)]
    forth, back = ([message(id, given=True) for id in each] for each in (names, names[::-1]))
    first, second = await asyncio.gather(worker.put(*forth), other.put(*back))
    assert [one.created != two.created for one, two in zip(first, second[::-1], strict=True)] == [True] * 1_000
    assert await worker.counts() == {"waiting": 1_000}


# -- in a transaction of the user's


async def awaited(value: Any) -> Any:
    return await value if isawaitable(value) else value


def engine_url(url: str, driver: str) -> str:
    return url.replace(":", f"+{driver}:", 1)


ALIKE = {"z": b"", "x": b"\0%s:x'\\", "y": bytes(range(256)), "w": b"{}"}
KINDS: dict[str, Callable[[str], Any]] = {
    "asyncpg": asyncpg.connect,
    "psycopg": psycopg.connect,
    "async psycopg": psycopg.AsyncConnection.connect,
    "Session": lambda url: Session(create_engine(engine_url(url, "psycopg"), poolclass=NullPool)),
    "AsyncSession": lambda url: AsyncSession(create_async_engine(engine_url(url, "asyncpg"), poolclass=NullPool)),
}


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_put_in_a_users_transaction_is_one_round_trip(worker: Worker, postgres_url: str, kind: str, end: str) -> None:
    """Their rows and our messages are there together, or not at all."""
    user = await awaited(KINDS[kind](postgres_url))
    session, sql = kind.endswith("Session"), "insert into penstock.meta values ('user', 'sam')"
    await awaited(user.execute(text(sql) if session else f"begin; {sql}" if kind == "asyncpg" else sql))
    joined = foreign(user) if session else as_foreign(user)
    trips: list[str] = []

    async def run(sql: str, params: Any) -> Rows:
        trips.append(sql)
        return await joined.run_async(sql, params) if joined.awaits else joined.run(sql, params)

    library = load(cast("Driver", joined.driver))
    messages = [message("a", key="k"), message("b", due=NOW + 99), message("c", given=True), message("c", given=True)]
    placed = await drive_async(put(messages, NOW), library, run)
    assert ([each.created for each in placed], len(trips)) == ([True, True, True, False], 1)
    await drive_async(put([Message(id, "alike", TASK, body) for id, body in ALIKE.items()], NOW), library, run)
    assert len(trips) == 2
    users = "select count(*) from penstock.meta where name = 'user'"
    assert (await worker.counts(), await worker.client.fetchval(users)) == ({}, 0)
    await awaited(user.execute(end) if kind == "asyncpg" else getattr(user, end)())
    assert (await worker.counts(), await worker.client.fetchval(users)) == (
        ({"waiting": 2, "delayed": 1}, 1) if end == "commit" else ({}, 0)
    )
    kept = await worker.client.connection.fetch("select id, body from penstock.message where queue = 'alike' order by seq")
    assert [tuple(row) for row in kept] == ([*ALIKE.items()] if end == "commit" else [])
    await awaited(user.close())


# -- unique names


async def test_a_name_costs_one_round_trip_more_and_a_chosen_id_beside_it_another(worker: Worker) -> None:
    trips = [worker.client.trips]
    for each in (named("a"), named("b"), named("c", "other", given=True)):
        await worker.put(each)
        trips.append(worker.client.trips)
    assert [after - before for before, after in pairwise(trips)] == [2, 1, 3]


async def test_who_comes_meanwhile_gets_the_holder(worker: Worker) -> None:
    assert await worker.put(message("x"), named("a"), named("b"), named("a2", "two")) == [Placed("x"), Placed("a"), KNOWN, Placed("a2")]
    assert await worker.put(named("c")) == [KNOWN]
    assert (await worker.counts(), await holders(worker)) == ({"waiting": 3}, {"task/n": "a", "task/two": "a2"})


async def test_a_known_id_takes_no_name(worker: Worker) -> None:
    plain = message("b", given=True)
    placed = await worker.put(named("a", "one", given=True), named("a", "two", given=True), plain, named("b", "three", given=True))
    assert placed == [Placed("a"), KNOWN, Placed("b"), Placed("b", False)]
    assert await worker.put(named("a", "four", given=True)) == [KNOWN]
    assert await holders(worker) == {"task/one": "a"}


async def test_an_id_that_a_name_refused_may_come_again_with_another(worker: Worker) -> None:
    await worker.put(named("holder"))
    refused, again = named("a", given=True), named("a", "other", given=True)
    assert await worker.put(refused, again, again, refused) == [Placed("holder", False), Placed("a"), KNOWN, KNOWN]


@pytest.mark.parametrize(("ends", "placed"), [("commit", KNOWN), ("rollback", Placed("b"))])
async def test_of_two_puts_of_one_name_the_second_waits(worker: Worker, connect: Connect, ends: str, placed: Placed) -> None:
    other = Worker(await connect())
    await worker.client.execute("begin")
    await worker.put(named("a"))
    second = asyncio.create_task(other.write_put(named("b")))
    await worker.client.until_waits(other.client)
    await worker.client.execute(ends)
    assert await second == [placed]
    assert await holders(worker) == {"task/n": placed.id}


@pytest.mark.parametrize(("first", "held"), [("n", {"task/n": "a"}), ("other", {"task/other": "a"}), (None, {})])
async def test_of_two_puts_of_one_id_the_second_takes_no_name(
    worker: Worker, connect: Connect, first: str | None, held: dict[str, str]
) -> None:
    """It looks before the first one has committed."""
    other = Worker(await connect())
    await worker.client.execute("begin")
    await worker.put(message("a", given=True) if first is None else named("a", first, given=True))
    second = asyncio.create_task(other.write_put(named("a", given=True)))
    await worker.client.until_waits(other.client)
    await worker.client.execute("commit")
    assert await second == [KNOWN]
    assert await holders(worker) == held


async def test_a_name_that_was_taken_for_a_job_which_has_ended_meanwhile_is_given_back(worker: Worker, connect: Connect) -> None:
    other = Worker(await connect())

    async def put_and_do() -> None:
        await worker.put(named("a", given=True))
        await worker.settle(await worker.claim(), Done())

    assert await other.write_put(named("a", given=True), meanwhile={1: put_and_do}) == [KNOWN]
    assert await holders(worker) == {}
