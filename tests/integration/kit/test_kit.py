"""An app on a store of the test's own: looking for jobs, sync tests, inline, and what becomes of the app's real store."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from penstock import App, Context, Retry, Router, Transaction, testing
from penstock.errors import ConfigurationError, PayloadError
from tests.integration.play import rows


@dataclass
class Line:
    sku: str
    count: int


app = App("sqlite:////nowhere/shop.db", name="shop")
mail = Router()
welcomed: list[int] = []


@mail.task(name="welcome", aliases=("greet",))
async def welcome(user_id: int, address: str = "nobody") -> None:
    welcomed.append(user_id)


app.include(mail, prefix="mail")


@app.task()
def ship(lines: list[Line], on: date) -> str:
    return f"{lines[0].sku} {on}"


@app.task(retry=Retry(attempts=1))
async def fail() -> None:
    raise ValueError("no")


@app.task()
def chain(n: int) -> None:
    welcome.sync.enqueue(n)


@app.task()
async def sell(tx: Transaction, n: int) -> None:
    await tx.execute("create table if not exists sold (n integer)")
    await tx.execute("insert into sold values (:n)", n=n)
    await welcome.enqueue(n)


# -- looking


async def test_jobs_are_found_by_their_arguments() -> None:
    async with testing.run(app) as kit:
        await welcome.enqueue(7, address="sam@example.com")
        await welcome.using(delay=3600, key="user:8", headers={"tenant": "a"}).enqueue(8)
        await ship.enqueue([Line("mug", 2)], date(2024, 1, 1))
        first = await kit.assert_enqueued(welcome, user_id=7)
        assert first.arguments == {"user_id": 7, "address": "sam@example.com"} and first.due is None
        second = await kit.assert_enqueued(welcome, address="nobody")
        assert (second.arguments["user_id"], second.key, second.headers, second.due is None) == (8, "user:8", {"tenant": "a"}, False)
        shipped = await kit.assert_enqueued(ship, lines=[Line("mug", 2)], on=date(2024, 1, 1))
        assert [job.id for job in await kit.enqueued()] == [first.id, second.id, shipped.id]
        assert await kit.enqueued(welcome) == [first, second]
        await kit.refute_enqueued(welcome, user_id=9)
        await kit.drain()
        await kit.refute_enqueued(ship)


async def test_a_failed_assertion_shows_what_waits() -> None:
    async with testing.run(app) as kit:
        with pytest.raises(AssertionError, match=r"not enqueued: shop\.welcome\(user_id=7\); what waits: nothing"):
            await kit.assert_enqueued(welcome, user_id=7)
        for n in range(25):
            await welcome.enqueue(n)
        with pytest.raises(AssertionError, match=r"what waits:\n  shop\.welcome\(.*user_id=0.*\)\n(.*\n)*  … and 5 more"):
            await kit.assert_enqueued(ship)
        with pytest.raises(AssertionError, match=r"enqueued, but should not be: shop\.welcome\(user_id=3\):\n  shop\.welcome\("):
            await kit.refute_enqueued(welcome, user_id=3)
        with pytest.raises(TypeError, match=r"no argument 'user'; it has user_id, address"):
            await kit.refute_enqueued(welcome, user=3)


async def test_another_apps_task_is_refused() -> None:
    other = App(name="other")

    @other.task()
    async def theirs() -> None: ...

    async with testing.run(app) as kit:
        with pytest.raises(ConfigurationError, match="not a task of app 'shop'"):
            await kit.refute_enqueued(theirs)
    with pytest.raises(ConfigurationError, match="pass the App"):
        testing.run(mail)  # type: ignore[arg-type]


# -- without a loop


def test_a_test_without_a_loop() -> None:
    welcomed.clear()
    with testing.run(app) as kit:
        job = chain.sync.enqueue(7)
        welcome.using(delay=3600).sync.enqueue(8)
        kit.sync.assert_enqueued(chain, n=7)
        kit.sync.refute_enqueued(welcome, user_id=7)
        assert len(kit.sync.enqueued(welcome)) == 1
        assert kit.sync.drain().done[0] == job.id
        assert welcomed == [7]
        kit.sync.advance("1h")
        assert welcomed == [7, 8]
        fail.sync.enqueue()
        assert kit.sync.drain(raise_errors=False).dead == [letter.job_id for letter in kit.sync.dead()]
        assert [letter.reason for letter in kit.sync.dead(fail)] == ["failed 1 times"]
        assert kit.sync.dead(welcome) == []


async def test_sync_verbs_are_refused_on_the_loop() -> None:
    async with testing.run(app) as kit:
        await welcome.enqueue(1)
        with pytest.raises(ConfigurationError, match=r"await kit\.drain"):
            kit.sync.drain()
        assert await asyncio.to_thread(lambda: len(kit.sync.drain().done)) == 1


def test_one_kit_over_several_loops() -> None:
    with testing.run(app) as kit:
        asyncio.run(enqueued(1))
        welcome.sync.enqueue(2)
        asyncio.run(enqueued(3))
        assert [job.arguments["user_id"] for job in kit.sync.enqueued()] == [1, 2, 3]
        assert len(asyncio.run(kit.drain()).done) == 3


async def enqueued(n: int) -> None:
    await welcome.enqueue(n)


# -- inline


async def test_inline_runs_at_once_through_the_codec() -> None:
    welcomed.clear()
    async with testing.run(app, inline=True) as kit:
        job = await ship.enqueue([Line("mug", 2)], date(2024, 1, 1))
        assert await job.result() == "mug 2024-01-01"
        await asyncio.gather(chain.enqueue(1), chain.enqueue(2))
        assert sorted(welcomed) == [1, 2]
        async with app.transaction() as tx:
            await sell.using(tx=tx).enqueue(3)
            assert welcomed[2:] == []
        assert welcomed[2:] == [3]
        with pytest.raises(testing.HandlerRaised, match="ValueError: no"):
            await fail.enqueue()
        with pytest.raises(PayloadError):
            await welcome.enqueue("seven")  # type: ignore[arg-type]
        assert (await kit.drain()).runs == ()


def test_inline_without_a_loop() -> None:
    welcomed.clear()
    with testing.run(app, inline=True):
        assert chain.sync.enqueue(1).sync.status() == "done"
        with app.sync.transaction() as tx:
            job = sell.using(tx=tx).sync.enqueue(2)
        assert job.sync.status() == "done"
    assert welcomed == [1, 2]


# -- the app's own store


async def test_the_own_store_is_left_as_it_is(fast: Path) -> None:
    real = App(f"sqlite:///{fast}/real.db", name="real")

    @real.task()
    async def work(n: int) -> None: ...

    mine = await work.enqueue(1)
    async with testing.run(real) as kit:
        theirs = await work.enqueue(2)
        assert Path(kit.path).exists() and kit.url == f"sqlite:///{kit.path}"
        async with testing.run(real) as inner:
            await work.enqueue(3)
            assert len((await inner.drain()).done) == 1
        assert (await kit.drain()).done == [theirs.id]
    assert not Path(kit.path).exists()
    assert await mine.status() == "unroutable"
    assert rows(fast / "real.db", "select count(*) from penstock_message") == [(1,)]
    await real.close()


async def test_an_app_whose_store_does_not_exist_is_never_opened() -> None:
    async with testing.run(app):
        await welcome.enqueue(1)
    assert not Path("/nowhere").exists()


async def test_what_a_handler_left_behind_does_not_open_it(fast: Path) -> None:
    real = App(f"sqlite:///{fast}/real.db", name="real")
    over = asyncio.Event()
    left: list[asyncio.Task[None]] = []

    @real.task()
    async def work(n: int) -> None: ...

    async def later() -> None:
        await over.wait()
        await work.enqueue(1)

    @real.task()
    async def leave() -> None:
        left.append(asyncio.create_task(later()))
        left.append(asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(work_off()))))

    async def work_off() -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(over.wait(), loop))
        await work.enqueue(2)

    loop = asyncio.get_running_loop()
    async with testing.run(real) as kit:
        await leave.enqueue()
        await kit.drain()
    over.set()
    for each in left:
        with pytest.raises(ConfigurationError, match="the kit is over"):
            await each
    assert not (fast / "real.db").exists()
    await work.enqueue(3)
    assert rows(fast / "real.db", "select count(*) from penstock_message") == [(1,)]
    await real.close()


async def test_what_a_handler_left_behind_does_not_reach_the_next_kit() -> None:
    real = App("sqlite:////nowhere/real.db", name="real")
    over = asyncio.Event()
    left: list[asyncio.Task[None]] = []

    @real.task()
    async def work(n: int) -> None: ...

    async def later(enqueue: Callable[[], Awaitable[object]]) -> None:
        await over.wait()
        await enqueue()

    @real.task()
    async def leave() -> None:
        left.append(asyncio.create_task(later(lambda: work.enqueue(1))))
        left.append(asyncio.create_task(later(lambda: asyncio.to_thread(work.sync.enqueue, 2))))
        left.append(asyncio.create_task(later(lambda: asyncio.to_thread(lambda: asyncio.run(enqueue(3))))))

    async def enqueue(n: int) -> None:
        await work.enqueue(n)

    async with testing.run(real) as kit:
        await leave.enqueue()
        await kit.drain()
    async with testing.run(real) as kit:
        await work.enqueue(4)
        over.set()
        for each in left:
            with pytest.raises(ConfigurationError, match="the kit is over"):
                await each
        assert [job.arguments for job in await kit.enqueued()] == [{"n": 4}]


async def test_what_a_handler_left_behind_does_not_take_the_app_to_its_loop(fast: Path) -> None:
    real = App(f"sqlite:///{fast}/real.db", name="real")
    loop, over, tried, free = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event(), asyncio.Event()
    left: list[asyncio.Task[None]] = []

    @real.task()
    async def leave() -> None:
        left.append(asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(goes_on()))))

    async def goes_on() -> None:
        await there(over.wait())
        with pytest.raises(ConfigurationError, match="the kit is over"):
            await leave.enqueue()
        loop.call_soon_threadsafe(tried.set)
        await there(free.wait())

    async def there(signal: Coroutine[Any, Any, Any]) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(signal, loop))

    async with testing.run(real) as kit:
        await leave.enqueue()
        await kit.drain()
    over.set()
    await tried.wait()
    try:
        async with real.worker():
            pass
    finally:
        free.set()
        await left[0]
        await real.close()


async def test_a_test_database_of_ones_own(fast: Path) -> None:
    for n in (1, 2):  # used again: time goes on from where it was
        async with testing.run(app, path=fast / "test.db") as kit:
            await sell.enqueue(n)
            before = kit.now
            await kit.advance("1d")
            assert kit.now > before
    assert rows(fast / "test.db", "select n from sold") == [(1,), (2,)]


async def test_a_test_database_that_was_used_later(fast: Path) -> None:
    late, early = datetime(2040, 1, 2, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
    with testing.run(app, path=fast / "test.db", start=late) as kit:
        assert kit.now == late
    with (
        pytest.raises(ConfigurationError, match=r"used by a test at 2040-01-02 .* never goes back"),
        testing.run(app, path=fast / "test.db", start=early),
    ):
        raise AssertionError
    with testing.run(app, path=fast / "test.db") as kit:
        assert kit.now == late


def test_a_database_whose_test_has_a_transaction_open(fast: Path) -> None:
    """As in Django: the kit of a test begins inside it. The tables are there from before."""
    with testing.run(app, path=fast / "test.db"):
        pass
    with closing(sqlite3.connect(fast / "test.db")) as connection:
        connection.execute("pragma wal_autocheckpoint = 0")
        connection.execute("create table mine (n)")
        connection.commit()
        connection.execute("insert into mine values (1)")
        with testing.run(app, path=fast / "test.db") as kit:
            chain.using(tx=connection).sync.enqueue(7)
            assert len(kit.sync.drain(tx=connection).done) == 2
        connection.rollback()


async def test_a_lifespan_is_entered_for_each_worker() -> None:
    entered: list[str] = []

    class Resources:
        async def __aenter__(self) -> str:
            entered.append("in")
            return "smtp"

        async def __aexit__(self, *_: object) -> None:
            entered.append("out")

    served = App("sqlite:////nowhere/shop.db", name="served", lifespan=Resources)

    @served.task()
    async def send(ctx: Context[str]) -> None:
        entered.append(ctx.state)

    async with testing.run(served) as kit:
        await send.enqueue()
        assert entered == []
        await kit.drain()
    assert entered == ["in", "smtp", "out"]
