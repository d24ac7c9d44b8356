"""Transactions that share a commit: when they do, and what happens to the others when one goes wrong."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.errors import PublishUnknown, StoreUnavailable, TransactionClosed
from penstock.observe.signals import Signals
from penstock.stores.sqlite import hold
from penstock.stores.sqlite.handle import Handle
from penstock.stores.sqlite.store import SqliteStore
from penstock.stores.sqlite.transaction import Transactions


class Points:
    def __init__(self) -> None:
        self.reached: Counter[str] = Counter()

    def __call__(self, point: str) -> None:
        self.reached[point] += 1


@pytest.fixture
def points() -> Points:
    return Points()


@pytest.fixture
async def store(tmp_path: Path, points: Points, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteStore]:
    monkeypatch.setattr(hold, "HOLD", 60.0)
    store = SqliteStore(str(tmp_path / "store.db"), signals=Signals(points), transactions=Transactions(60))
    await store.open()
    tx = store.transaction()
    await tx.execute("create table rows (n integer primary key)", {})
    await tx.commit()
    points.reached.clear()
    yield store
    await store.close()


async def test_those_that_wait_share_one_commit(store: SqliteStore, points: Points) -> None:
    await asyncio.gather(*(insert(store.transaction(shared=True), n) for n in range(10)))
    assert await rows(store) == list(range(10))
    assert points.reached == {"tx.begun": 11, "tx.before_commit": 1, "tx.after_commit": 1}


async def test_one_of_its_own_is_answered_by_its_own_commit(store: SqliteStore, points: Points) -> None:
    await asyncio.gather(*(insert(store.transaction(), n) for n in range(4)))
    assert points.reached["tx.before_commit"] == 4


async def test_what_ends_the_database_transaction_ends_it_for_all(store: SqliteStore) -> None:
    """Rolled back by SQLite: the first one's work is undone as well, so it must not be told that it was kept."""
    first = asyncio.ensure_future(insert(store.transaction(shared=True), 1))
    second = asyncio.ensure_future(insert(store.transaction(shared=True), 1, "insert or rollback into rows values (:n)"))
    with pytest.raises(PublishUnknown, match="another one, that shared its commit"):
        await first
    with pytest.raises(sqlite3.IntegrityError):
        await second
    assert await rows(store) == []


async def test_after_a_rollback_by_sqlite_nothing_is_written_outside_of_a_transaction(store: SqliteStore) -> None:
    await insert(store.transaction(), 1)
    tx = store.transaction()
    with pytest.raises(sqlite3.IntegrityError):
        await tx.execute("insert or rollback into rows values (1)", {})
    with pytest.raises(TransactionClosed, match="rolled back"):
        await tx.execute("insert into rows values (2)", {})
    assert await rows(store) == [1]


async def test_a_constraint_that_fails_in_the_commit_is_found_alone(store: SqliteStore, points: Points) -> None:
    setup = store.transaction()
    await setup.execute("create table parts (n integer references rows (n) deferrable initially deferred)", {})
    await setup.commit()
    setup.connection.execute("pragma foreign_keys = on")
    orphan = "insert into parts values (:n)"
    results = await asyncio.gather(
        insert(store.transaction(shared=True), 1), insert(store.transaction(shared=True), 9, orphan), return_exceptions=True
    )
    assert [type(result) for result in results] == [StoreUnavailable, StoreUnavailable]
    again = await asyncio.gather(
        insert(store.transaction(shared=True), 1), insert(store.transaction(shared=True), 9, orphan), return_exceptions=True
    )
    assert [type(result) for result in again] == [type(None), sqlite3.IntegrityError]
    assert await rows(store) == [1]


async def test_after_a_slow_one_nobody_shares_for_a_while(store: SqliteStore, points: Points, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "_SLOW", 0.0)
    await asyncio.gather(*(insert(store.transaction(shared=True), n) for n in range(3)))
    await asyncio.gather(*(insert(store.transaction(shared=True), n) for n in range(3, 6)))
    assert points.reached["tx.before_commit"] == 1 + 3


async def test_one_past_its_time_is_undone_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "HOLD", 60.0)
    store = SqliteStore(str(tmp_path / "short.db"), signals=Signals(), transactions=Transactions(0.3))
    await store.open()
    setup = store.transaction()
    await setup.execute("create table rows (n integer primary key)", {})
    await setup.commit()
    quick, idle = store.transaction(shared=True), store.transaction(shared=True)
    begun = asyncio.ensure_future(insert(quick, 1))
    await asyncio.sleep(0)
    await idle.execute("insert into rows values (2)", {})
    await begun  # answered when the idle one was given up
    with pytest.raises(TransactionClosed, match="open for more than"):
        await idle.commit()
    assert await rows(store) == [1]
    await store.close()


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("insert into rows values (:n)", {}),
        ("select 1; select 2", {}),
        ("insert into rows values (:n)", {"n": object()}),
        ("insert into rows values (1)\0", {}),
        ("insert into nowhere values (1)", {}),
    ],
)
async def test_a_statement_that_cannot_run_is_its_users_error_alone(store: SqliteStore, sql: str, params: dict[str, object]) -> None:
    neighbour = asyncio.ensure_future(insert(store.transaction(shared=True), 1))
    await asyncio.sleep(0)
    tx = store.transaction(shared=True)
    with pytest.raises((sqlite3.Error, ValueError)):
        await asyncio.wait_for(tx.execute(sql, params), 10)
    await tx.rollback()
    await asyncio.wait_for(neighbour, 10)
    assert await rows(store) == [1]


async def test_a_savepoint_left_open_by_one_is_not_anothers(store: SqliteStore) -> None:
    first, second = store.transaction(shared=True), store.transaction(shared=True)

    async def leave_it_open() -> None:
        await first.execute("savepoint mine", {})
        await first.execute("insert into rows values (1)", {})
        await first.commit()

    left = asyncio.ensure_future(leave_it_open())
    await asyncio.sleep(0)
    await second.execute("insert into rows values (2)", {})
    with pytest.raises(sqlite3.OperationalError, match="no such savepoint: mine"):
        await second.execute("rollback to mine", {})
    await second.rollback()
    await asyncio.wait_for(left, 10)
    assert await rows(store) == [1]


async def test_who_takes_our_savepoint_takes_no_neighbour_along_unnoticed(store: SqliteStore) -> None:
    first = asyncio.ensure_future(insert(store.transaction(shared=True), 1))
    await asyncio.sleep(0)
    second = store.transaction(shared=True)
    await second.execute("insert into rows values (2)", {})
    await second.execute("release penstock_member", {})
    with pytest.raises(sqlite3.OperationalError, match="no such savepoint"):
        await second.commit()
    with pytest.raises(PublishUnknown, match="another one, that shared its commit"):
        await asyncio.wait_for(first, 10)
    assert await rows(store) == []


async def test_a_cursor_left_open_fails_its_own_commit(store: SqliteStore) -> None:
    await insert(store.transaction(), 1)
    tx = store.transaction(shared=True)
    await tx.execute("insert into rows values (2)", {})
    cursor = tx.connection.execute("insert into rows values (3) returning n")
    with pytest.raises(sqlite3.OperationalError, match="in progress"):
        await asyncio.wait_for(tx.commit(), 10)
    cursor.close()
    assert await rows(store) == [1]


async def test_what_nobody_foresaw_ends_no_thread(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("nobody foresaw this")

    with monkeypatch.context() as patch:
        patch.setattr(hold.Hold, "begin", fail)
        patch.setattr("penstock.stores.sqlite.transaction.TransactionThread._fail", fail)
        with pytest.raises(StoreUnavailable, match="nobody foresaw this"):
            await asyncio.wait_for(store.transaction(shared=True).execute("select 1", {}), 10)
    await asyncio.wait_for(insert(store.transaction(shared=True), 1), 10)
    assert await rows(store) == [1]


async def test_after_one_that_took_the_others_along_nobody_shares_for_a_while(store: SqliteStore, points: Points) -> None:
    ruinous = "insert or rollback into rows values (:n)"
    first = [insert(store.transaction(shared=True), 1), insert(store.transaction(shared=True), 1, ruinous)]
    assert [type(each) for each in await asyncio.gather(*first, return_exceptions=True)] == [PublishUnknown, sqlite3.IntegrityError]
    again = [insert(store.transaction(shared=True), 1), insert(store.transaction(shared=True), 1, ruinous)]
    assert [type(each) for each in await asyncio.gather(*again, return_exceptions=True)] == [type(None), sqlite3.IntegrityError]
    assert await rows(store) == [1]


async def test_a_slow_one_that_fails_counts_as_slow_too(store: SqliteStore, points: Points, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "_SLOW", 0.0)
    await asyncio.gather(
        insert(store.transaction(shared=True), 1), insert(store.transaction(shared=True), 2, "insert into nowhere values (:n)"),
        return_exceptions=True,
    )  # fmt: skip
    points.reached.clear()
    await asyncio.gather(*(insert(store.transaction(shared=True), n) for n in range(3, 6)))
    assert points.reached["tx.before_commit"] == 3


async def test_a_fault_after_the_commit_is_not_called_a_rollback(tmp_path: Path) -> None:
    def fault(point: str) -> None:
        if point == "tx.after_commit" and armed:
            raise RuntimeError("a fault")

    armed: list[bool] = []
    store = SqliteStore(str(tmp_path / "faulty.db"), signals=Signals(fault))
    await store.open()
    setup = store.transaction()
    await setup.execute("create table rows (n integer primary key)", {})
    await setup.commit()
    armed.append(True)
    with pytest.raises(PublishUnknown, match="it is there"):
        await insert(store.transaction(shared=True), 1)
    armed.clear()
    assert await rows(store) == [1]
    await store.close()


async def test_closing_keeps_what_was_written_to_its_end(store: SqliteStore) -> None:
    done = asyncio.ensure_future(insert(store.transaction(shared=True), 1))
    await asyncio.sleep(0)
    open_ = store.transaction(shared=True)
    await open_.execute("insert into rows values (2)", {})
    await store.close()
    await done
    await store.open()
    assert await rows(store) == [1]


async def insert(tx: Handle, n: int, sql: str = "insert into rows values (:n)") -> None:
    try:
        await tx.execute(sql, {"n": n})
        await tx.commit()
    finally:
        await tx.rollback()


async def rows(store: SqliteStore) -> list[int]:
    tx = store.transaction()
    found = await tx.fetch("select n from rows order by n", {})
    await tx.rollback()
    return [row["n"] for row in found]
