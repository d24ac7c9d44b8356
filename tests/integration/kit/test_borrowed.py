"""Tests that never commit: their jobs run inside the transaction that is open, on its very connection."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from penstock import App, Context, DeadLetter, Reject, Retry, Task, Transaction, testing
from penstock.errors import ConfigurationError, TransactionClosed
from penstock.integrations.sqlalchemy import prepare
from penstock.testing import HandlerRaised, Kit
from penstock.testing.borrowed.connection import Borrowed
from penstock.testing.borrowed.desk import ThreadDesk

app = App("sqlite:////nowhere/shop.db", name="shop")
seen: list[object] = []


@app.task()
async def note(n: int) -> None:
    seen.append(n)


@app.task()
def relay(n: int) -> str:
    seen.append(threading.current_thread())
    note.sync.enqueue(n)
    return "relayed"


@app.task(retry=Retry(attempts=2, first=60))
async def order(ctx: Context, tx: Transaction, n: int) -> None:
    seen.append(await tx.execute("insert into orders values (:n)", n=n))
    await note.enqueue(n)
    if n < 0:
        raise ValueError(f"order {n}")


@app.task()
def order_sync(tx: Transaction, n: int) -> None:
    tx.sync.execute("insert into orders values (:n)", n=n)
    seen.append(tx.sync.fetch_one("select count(*) as orders from orders"))
    note.sync.enqueue(n)


@app.task()
async def at_once(tx: Transaction, n: int) -> None:
    tx.sync.execute("insert into orders values (:n)", n=n)
    seen.append(tx.sync.fetch_one("select count(*) as orders from orders"))
    await note.enqueue(n)


@app.task()
async def nested(tx: Transaction) -> None:
    for n in (1, 2):
        try:
            async with app.transaction() as inner:
                await inner.execute("insert into orders values (:n)", n=n)
                if n == 1:
                    raise KeyError
        except KeyError:
            seen.append("rolled back")


@app.task()
async def reject() -> None:
    raise Reject("never")


@reject.on_dead
async def tell(letter: DeadLetter) -> None:
    seen.append(letter.reason)


@app.task()
def asks(job_id: str) -> None:
    app.job(job_id).sync.status()


@app.task(isolation="process")
def apart() -> None: ...


@app.task(retry=Retry(attempts=1))
def raises(error: str) -> None:
    raise {"StopIteration": StopIteration, "SystemExit": SystemExit, "KeyError": KeyError}[error]("told")


@app.task()
def keeps(tx: Transaction) -> None:
    tx.sync.fetch("select 1")
    seen.append(tx)


STATEMENTS = (
    "create table if not exists lines (n integer)",
    "insert into lines values (1), (2)",
    "create table if not exists more (n integer)",
    "select * from lines",
    "insert into lines values (3), (4) returning n",
    "update lines set n = n + 1",
    "delete from lines where n > 9",
    "with two as (select 8 union select 9) insert into lines select * from two",
)


@app.task()
async def counts(tx: Transaction) -> None:
    seen.append([await tx.execute(sql) for sql in STATEMENTS])


@app.task()
def counts_sync(tx: Transaction) -> None:
    seen.append([tx.sync.execute(sql) for sql in STATEMENTS])


@app.task()
async def again(n: int) -> None:
    await again.enqueue(n)


@app.task()
async def hangs(tx: Transaction) -> None:
    await tx.execute("insert into orders values (7)")
    await asyncio.Event().wait()


@app.task()
def hangs_sync(ctx: Context, tx: Transaction) -> None:
    tx.sync.execute("insert into orders values (7)")
    never, patience = threading.Event(), 500
    while not ctx.cancelled and (patience := patience - 1):
        never.wait(0.01)


@app.task()
async def goes_on(way: str) -> None:
    begun = asyncio.Event()
    left.append(asyncio.create_task(LEFT[way](begun)))
    await begun.wait()


async def enqueues(begun: asyncio.Event) -> None:
    begun.set()
    await over[0].wait()
    await note.enqueue(7)


async def enqueues_on_a_thread(begun: asyncio.Event) -> None:
    begun.set()
    await over[0].wait()
    await asyncio.to_thread(note.sync.enqueue, 7)


async def writes(begun: asyncio.Event) -> None:
    async with app.transaction() as tx:
        begun.set()
        await over[0].wait()
        await tx.execute("insert into orders values (7)")


async def writes_at_once(begun: asyncio.Event) -> None:
    async with app.transaction() as tx:
        begun.set()
        await over[0].wait()
        tx.sync.execute("insert into orders values (7)")


async def writes_on_a_thread(begun: asyncio.Event) -> None:
    async with app.transaction() as tx:
        begun.set()
        await over[0].wait()
        await asyncio.to_thread(tx.sync.execute, "insert into orders values (7)")


LEFT = {way.__name__: way for way in (enqueues, enqueues_on_a_thread, writes, writes_at_once, writes_on_a_thread)}
left: list[asyncio.Task[None]] = []
over: list[asyncio.Event] = []
"""Of the test that runs."""


@pytest.fixture
def kit() -> Iterator[Kit]:
    seen.clear()
    with testing.run(app) as kit:
        with app.sync.transaction() as tx:
            tx.execute("create table orders (n integer)")
        yield kit


@contextmanager
def open_transaction(kit: Kit) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(kit.path)) as connection:
        connection.execute("pragma wal_autocheckpoint = 0")
        connection.execute("insert into orders values (0)")
        yield connection
        assert connection.in_transaction
        connection.rollback()


def orders(connection: sqlite3.Connection) -> list[int]:
    return [n for (n,) in connection.execute("select n from orders order by rowid")]


def committed(kit: Kit) -> tuple[int, int]:
    """Orders and messages that others see."""
    with closing(sqlite3.connect(kit.path)) as connection:
        found = connection.execute("select (select count(*) from orders), (select count(*) from penstock_message)").fetchone()
    return found[0], found[1]


# -- sync


def test_jobs_run_in_the_transaction_and_vanish_with_it(kit: Kit) -> None:
    with open_transaction(kit) as connection:
        relay.using(tx=connection).sync.enqueue(1)
        order_sync.using(tx=connection).sync.enqueue(2)
        order.using(tx=connection).sync.enqueue(3)
        report = kit.sync.drain(tx=connection)
        assert [run.task for run in report.runs] == ["shop.relay", "shop.order_sync", "shop.order", *["shop.note"] * 3]
        assert seen == [threading.current_thread(), {"orders": 2}, 1, 1, 2, 3]
        assert orders(connection) == [0, 2, 3]
        assert committed(kit) == (0, 0)
    assert committed(kit) == (0, 0)
    assert kit.sync.enqueued() == []


def test_a_failed_handler_undoes_its_own_writes_only(kit: Kit) -> None:
    with open_transaction(kit) as connection:
        order.using(tx=connection).sync.enqueue(-1)
        order.using(tx=connection).sync.enqueue(1)
        with pytest.raises(HandlerRaised, match="ValueError: order -1"):
            kit.sync.drain(tx=connection)
        assert orders(connection) == [0, 1]
        assert seen == [1, 1, 1]
        waiting = connection.execute("select count(*) from penstock_later").fetchone()
        assert waiting == (1,)


def test_savepoints_dead_letters_and_hooks(kit: Kit) -> None:
    with open_transaction(kit) as connection:
        nested.using(tx=connection).sync.enqueue()
        reject.using(tx=connection).sync.enqueue()
        report = kit.sync.drain(tx=connection)
        assert len(report.dead) == 1
        assert seen == ["rolled back", "never"]
        assert orders(connection) == [0, 2]


def test_a_def_handler_does_not_wait_for_the_app(kit: Kit) -> None:
    with open_transaction(kit) as connection:
        job = note.using(tx=connection, delay=60).sync.enqueue(1)
        asks.using(tx=connection).sync.enqueue(job.id)
        with pytest.raises(HandlerRaised, match="there it can enqueue and use its tx"):
            kit.sync.drain(tx=connection)


def test_whatever_a_def_handler_raises_is_told(kit: Kit) -> None:
    with open_transaction(kit) as connection:
        for error in ("StopIteration", "SystemExit", "KeyError"):
            raises.using(tx=connection).sync.enqueue(error)
        report = kit.sync.drain(tx=connection, raise_errors=False)
        assert [run.how for run in report.runs] == ["dead"] * 3
        assert ["StopIteration" in str(report.errors[0]), "SystemExit" in str(report.errors[1])] == [True, True]


def test_what_a_handler_left_behind_is_refused_afterwards(kit: Kit) -> None:
    with open_transaction(kit) as connection:
        keeps.using(tx=connection).sync.enqueue()
        kit.sync.drain(tx=connection)
        kept = seen[0]
        assert isinstance(kept, Transaction)
        with pytest.raises(TransactionClosed):
            kept.sync.fetch("select 1")
        orders_before = orders(connection)
    assert orders_before == [0]


def test_the_kit_goes_on_with_its_own_store(kit: Kit) -> None:
    with open_transaction(kit) as connection:
        note.using(tx=connection).sync.enqueue(1)
        kit.sync.drain(tx=connection)
    note.sync.enqueue(2)
    kit.crash_at("claimed")
    kit.sync.drain()
    assert seen == [1, 2]


def test_a_session_that_is_rolled_back(kit: Kit) -> None:
    engine = prepare(create_engine(kit.url))
    with Session(engine) as session:
        session.execute(text("insert into orders values (0)"))
        for task in (relay, order_sync, order):
            task.using(tx=session).sync.enqueue(1)
        assert len(kit.sync.drain(tx=session).done) == 6
        assert session.execute(text("select count(*) from orders")).scalar() == 3
        session.rollback()
    engine.dispose()
    assert committed(kit) == (0, 0)


# -- async


async def test_an_async_session_that_is_rolled_back(kit: Kit) -> None:
    engine = prepare(create_async_engine(kit.url.replace("sqlite:", "sqlite+aiosqlite:")))
    async with AsyncSession(engine) as session:
        await session.execute(text("insert into orders values (0)"))
        for task in (relay, order_sync, order):
            await task.using(tx=session).enqueue(1)
        await nested.using(tx=session).enqueue()
        assert len((await kit.drain(tx=session)).done) == 7
        assert (await session.execute(text("select count(*) from orders"))).scalar() == 4
        await session.rollback()
    await engine.dispose()
    assert committed(kit) == (0, 0)
    await note.enqueue(9)
    await kit.drain()
    assert seen[-1] == 9


async def test_a_connection_in_an_async_test(kit: Kit) -> None:
    with open_transaction(kit) as connection:
        await relay.using(tx=connection).enqueue(1)
        await order.using(tx=connection).enqueue(2)
        await kit.drain(tx=connection)
        assert orders(connection) == [0, 2]
        assert isinstance(seen[0], threading.Thread) and seen[0] is not threading.current_thread()


@pytest.mark.parametrize("way", LEFT)
async def test_what_an_async_handler_left_behind_commits_nothing(kit: Kit, way: str) -> None:
    over[:], left[:] = [asyncio.Event()], []
    with closing(sqlite3.connect(kit.path)) as connection:
        connection.execute("pragma wal_autocheckpoint = 0")
        connection.execute("insert into orders values (0)")
        await goes_on.using(tx=connection).enqueue(way)
        await kit.drain(tx=connection)
        connection.rollback()
        over[0].set()
        with pytest.raises(TransactionClosed, match="the drain has ended"):
            await left[0]
        assert not connection.in_transaction
    assert committed(kit) == (0, 0)


async def test_an_async_handler_uses_its_transaction_from_sync_code(kit: Kit) -> None:
    with open_transaction(kit) as connection:
        await at_once.using(tx=connection).enqueue(2)
        await kit.drain(tx=connection, timeout=5)
        assert orders(connection) == [0, 2]
        assert seen == [{"orders": 2}, 2]


def test_what_never_ends_is_named(kit: Kit) -> None:
    with open_transaction(kit) as connection:
        again.using(tx=connection).sync.enqueue(7)
        with pytest.raises(TimeoutError, match=r"within 0\.2 s.*shop\.again \{\"n\":7\}.*without a delay"):
            kit.sync.drain(tx=connection, timeout=0.2)


async def test_what_never_ends_is_named_in_an_async_test(kit: Kit) -> None:
    with open_transaction(kit) as connection:
        await again.using(tx=connection).enqueue(7)
        with pytest.raises(TimeoutError, match=r"within 0\.2 s.*shop\.again \{\"n\":7\}.*without a delay"):
            await kit.drain(tx=connection, timeout=0.2)


@pytest.mark.parametrize("task", [hangs, hangs_sync], ids=["async", "def"])
def test_a_handler_that_does_not_end_is_stopped(kit: Kit, task: Task[[], None]) -> None:
    with open_transaction(kit) as connection:
        task.using(tx=connection).sync.enqueue()
        with pytest.raises(TimeoutError, match=r"within 0\.2 s"):
            kit.sync.drain(tx=connection, timeout=0.2)


async def test_a_handler_that_was_stopped_leaves_nothing(kit: Kit) -> None:
    with open_transaction(kit) as connection:
        await hangs.using(tx=connection).enqueue()
        with pytest.raises(TimeoutError, match=r"shop\.hangs"):
            await kit.drain(tx=connection, timeout=0.2)
        assert orders(connection) == [0]


@pytest.mark.parametrize("task", [counts, counts_sync], ids=["async", "def"])
async def test_execute_counts_as_it_does_in_a_worker(kit: Kit, task: Task[[], None]) -> None:
    await task.enqueue()
    await kit.drain()
    with open_transaction(kit) as connection:
        connection.execute("delete from lines")
        await task.using(tx=connection).enqueue()
        await kit.drain(tx=connection)
    engine = prepare(create_engine(kit.url))
    with Session(engine) as session:
        session.execute(text("delete from lines"))
        await task.using(tx=session).enqueue()
        await kit.drain(tx=session)
        session.rollback()
    engine.dispose()
    awaited = prepare(create_async_engine(kit.url.replace("sqlite:", "sqlite+aiosqlite:")))
    async with AsyncSession(awaited) as async_session:
        await async_session.execute(text("delete from lines"))
        await task.using(tx=async_session).enqueue()
        await kit.drain(tx=async_session)
        await async_session.rollback()
    await awaited.dispose()
    assert seen == [seen[0]] * 4


def test_an_errand_that_nobody_waits_for_any_more_is_not_run(kit: Kit) -> None:
    with open_transaction(kit) as connection:
        desk = ThreadDesk(Borrowed(connection))
        errands = [desk.handle(lambda n=n: seen.append(n)) for n in (1, 2)]
        assert errands[0].cancel()
        desk.close()
        late = [desk.handle(lambda: seen.append(3)) for _ in range(2)]
        assert late[0].cancel()
        desk.serve()
        assert seen == [2]
        assert isinstance(late[1].exception(), TransactionClosed)


# -- refused


def test_what_cannot_be_lent(kit: Kit) -> None:
    with closing(sqlite3.connect(":memory:")) as elsewhere:
        elsewhere.execute("create table t (n)")
        elsewhere.execute("insert into t values (1)")
        with pytest.raises(ConfigurationError, match="one transaction cannot span two stores"):
            kit.sync.drain(tx=elsewhere)
    with (
        closing(sqlite3.connect(kit.path, isolation_level=None)) as idle,
        pytest.raises(ConfigurationError, match="no transaction is open"),
    ):
        kit.sync.drain(tx=idle)
    with pytest.raises(ConfigurationError, match="can join sqlite3 connections"):
        kit.sync.drain(tx="connection")


async def test_an_async_connection_is_awaited(kit: Kit) -> None:
    engine = create_async_engine(kit.url.replace("sqlite:", "sqlite+aiosqlite:"))
    async with AsyncSession(engine) as session:
        with pytest.raises(ConfigurationError, match=r"await kit\.drain\(tx=…\)"):
            await asyncio.to_thread(kit.sync.drain, tx=session)
    await engine.dispose()


async def test_an_async_handler_does_not_wait_for_an_async_connection(kit: Kit) -> None:
    engine = prepare(create_async_engine(kit.url.replace("sqlite:", "sqlite+aiosqlite:")))
    async with AsyncSession(engine) as session:
        await session.execute(text("insert into orders values (0)"))
        await at_once.using(tx=session).enqueue(1)
        with pytest.raises(HandlerRaised, match=r"await tx\.execute"):
            await kit.drain(tx=session, timeout=5)
        assert (await session.execute(text("select count(*) from orders"))).scalar() == 1
        await session.rollback()
    await engine.dispose()


def test_a_child_process_is_not_lent_a_connection(kit: Kit) -> None:
    """It would wait for the lock that the test itself holds."""
    with open_transaction(kit) as connection:
        apart.using(tx=connection).sync.enqueue()
        note.using(tx=connection).sync.enqueue(1)
        with pytest.raises(ConfigurationError, match=r"shop\.apart .*isolation='process'"):
            kit.sync.drain(tx=connection)
        assert orders(connection) == [0]
    assert committed(kit) == (0, 0)
