"""Crashes that a test asks for, at named points: nothing is lost, effects happen once, and the next worker takes over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from penstock import App, Transaction, testing
from penstock.errors import ConfigurationError
from penstock.ports.signals import POINTS
from penstock.testing import Kit

app = App("sqlite:////nowhere/shop.db", name="shop")
ran: list[int] = []
HOURLY = 60
"""What the schedule brings."""


@app.task()
async def plain(n: int) -> None:
    ran.append(n)


@app.task()
async def relay(n: int) -> None:
    await plain.enqueue(n)


@app.task()
async def effect(tx: Transaction, n: int) -> None:
    await tx.execute("insert into effects values (:n)", n=n)
    await plain.enqueue(n)


@dataclass
class Happened:
    n: int


facts = app.topic("facts", Happened)
accounts = app.topic("accounts", Happened, versioned=True)
app.schedule(plain.bind(HOURLY), name="hourly", every=timedelta(hours=1))


@app.task()
async def tell(n: int) -> None:
    await facts.publish(Happened(n))
    await accounts.append(f"a-{n}", [Happened(n)], expected=None)


@app.subscribe(facts)
async def hear(event: Happened) -> None:
    ran.append(event.n)


@pytest.fixture
async def kit() -> AsyncIterator[Kit]:
    ran.clear()
    async with testing.run(app) as kit:
        async with app.transaction() as tx:
            await tx.execute("create table effects (n integer)")
        yield kit


async def effects() -> list[int]:
    async with app.transaction() as tx:
        return [row["n"] for row in await tx.fetch("select n from effects")]


@pytest.mark.parametrize("point", POINTS)
async def test_nothing_is_lost_and_effects_happen_once(kit: Kit, point: str) -> None:
    kit.crash_at(point)
    jobs = [await plain.enqueue(1), await relay.enqueue(2), await effect.enqueue(3), await tell.enqueue(4)]
    await kit.drain()
    await kit.advance("1h")
    assert [await job.status() for job in jobs] == ["done"] * 4
    assert set(ran) == {1, 2, 3, 4, HOURLY} and ran.count(HOURLY) in (1, 2)
    assert Happened(4) in await kit.published(facts) and Happened(4) in await kit.published(accounts, key="a-4")
    assert await effects() == [3]
    assert await kit.enqueued() == await kit.dead() == []


@pytest.mark.parametrize(("point", "times"), [("claimed", 1), ("settle.before_commit", 2), ("settle.after_commit", 1)])
async def test_before_its_end_is_written_a_job_runs_again(kit: Kit, point: str, times: int) -> None:
    kit.crash_at(point)
    await plain.enqueue(1)
    await kit.drain()
    assert ran == [1] * times


async def test_each_crash_is_a_death_and_the_third_one_is_the_last(kit: Kit) -> None:
    kit.crash_at("settle.before_commit", times=3)
    job = await plain.enqueue(1)
    await kit.drain()
    assert ran == [1, 1, 1]
    assert await job.status() == "dead"
    (letter,) = await kit.dead()
    assert letter.reason == "its worker died 3 times under it"


async def test_time_goes_on_after_a_crash(kit: Kit) -> None:
    for n in range(3):
        await plain.using(delay=3600 * (n + 1)).enqueue(n)
    kit.crash_at("claimed", times=2)
    await kit.advance("1d")
    assert [n for n in ran if n != HOURLY] == [0, 1, 2]


async def test_a_crash_concerns_only_the_worker(kit: Kit) -> None:
    kit.crash_at("put.before_commit")
    await relay.enqueue(1)
    await kit.drain()
    assert ran == [1]


async def test_a_crash_that_never_came_fails_the_test() -> None:
    with pytest.raises(AssertionError, match=r"crash_at\('tx\.begun'\): no worker came there"):
        async with testing.run(app) as kit:
            kit.crash_at("tx.begun")
            await plain.enqueue(1)
            await kit.drain()


async def test_a_point_that_does_not_exist(kit: Kit) -> None:
    with pytest.raises(ConfigurationError, match=r"no such point; near: settle\.before_commit"):
        kit.crash_at("settle.before_comit")
    with pytest.raises(ConfigurationError, match="at least 1"):
        kit.crash_at("claimed", times=0)


async def test_a_crashed_process_reaches_its_store_no_more(kit: Kit) -> None:
    told: list[BaseException] = []

    @app.on_error
    def keep(_: object, error: Exception) -> None:
        told.append(error)

    kit.crash_at("put.before_commit")
    job = await relay.enqueue(1)
    await kit.drain()
    assert await job.status() == "done"
    assert all(isinstance(error, testing.Crashed) for error in told)
