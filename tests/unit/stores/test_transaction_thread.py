"""What the transaction thread does when its users go away."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.errors import StoreUnavailable, TransactionClosed
from penstock.model.job import JobFilter
from penstock.model.message import Message
from penstock.observe.signals import Signals
from penstock.stores.sqlite.store import SqliteStore
from penstock.stores.sqlite.transaction import Transactions


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(str(tmp_path / "store.db"), signals=Signals(), transactions=Transactions(60))
    await store.open()
    yield store
    await store.close()


async def test_a_transaction_that_was_given_up_while_it_waited_never_begins(store: SqliteStore) -> None:
    first, second, third = (store.transaction() for _ in range(3))
    await first.execute("create table rows (n)", {})
    waiting = asyncio.ensure_future(second.execute("insert into rows values (2)", {}))
    await asyncio.sleep(0)
    waiting.cancel()
    given_up = asyncio.ensure_future(second.rollback())
    await asyncio.sleep(0)
    await first.commit()
    await asyncio.wait_for(given_up, 10)
    await asyncio.wait_for(third.execute("insert into rows values (3)", {}), 10)
    await third.commit()
    check = store.transaction()
    assert await check.fetch("select n from rows", {}) == [{"n": 3}]
    await check.rollback()


async def test_closing_answers_whoever_waits_for_a_turn(store: SqliteStore) -> None:
    first, second = store.transaction(), store.transaction()
    await first.execute("create table rows (n)", {})
    waiting = asyncio.ensure_future(second.execute("insert into rows values (2)", {}))
    await asyncio.sleep(0)
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await asyncio.wait_for(waiting, 10)
    with pytest.raises(TransactionClosed, match="the store was closed"):
        await first.execute("insert into rows values (1)", {})
    await store.open()
    with pytest.raises(sqlite3.OperationalError, match="rows"):
        await store.transaction().fetch("select n from rows", {})


async def test_a_user_who_ends_it_on_the_connection_is_told(store: SqliteStore) -> None:
    tx = store.transaction()
    await tx.execute("create table rows (n)", {})
    tx.connection.execute("commit")
    with pytest.raises(TransactionClosed, match="something of yours ended the transaction: create table rows"):
        await tx.put([Message("given", "mail", "send", b"", given=True)])
    other = store.transaction()
    assert await other.fetch("select n from rows", {}) == []
    await other.rollback()


async def test_messages_kept_back_by_several_threads_are_all_written(store: SqliteStore) -> None:
    """Threads of a handler put at once; some have given ids, so that what was kept is written in between."""
    tx = store.transaction()
    start = threading.Barrier(4)

    def put(thread: int) -> None:
        start.wait()
        for n in range(50):
            tx.put_now([Message(f"{thread}-{n}", "mail", "send", b"", given=n % 10 == 0)])

    await asyncio.gather(*(asyncio.to_thread(put, thread) for thread in range(4)))
    await tx.commit()
    jobs = (await store.inspect.jobs(JobFilter(), limit=500)).jobs
    assert sorted(job.id for job in jobs) == sorted(f"{thread}-{n}" for thread in range(4) for n in range(50))
