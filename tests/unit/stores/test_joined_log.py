"""Connections of the user's write, and no worker is up: what they logged is copied back into the file all the same."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from penstock.integrations.sqlalchemy import foreign, prepare
from penstock.model.message import Message
from penstock.stores.sqlite import checkpoint
from penstock.stores.sqlite.store import SqliteStore
from penstock.testing.conformance.ground import until

BODY = b"x" * 3_000


@pytest.fixture(autouse=True)
def few_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint is due after some commits."""
    monkeypatch.setattr(checkpoint, "_PAGES", 60)


@pytest.fixture
def user(store: SqliteStore, path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path)
    connection.execute("pragma wal_autocheckpoint = 0")
    yield connection
    connection.close()


def message(n: int) -> Message:
    return Message(f"m{n}", "mail", "send", BODY)


async def copied(path: Path, before: int) -> bool:
    """Only a checkpoint lets the file itself grow."""
    await until(lambda: path.stat().st_size > before, "the log was copied into the file")
    return path.stat().st_size > before


async def test_sessions_let_the_writer_copy_what_they_logged(store: SqliteStore, path: Path) -> None:
    engine, before = prepare(create_engine(f"sqlite:///{path}")), path.stat().st_size
    with Session(engine) as session:
        for n in range(12):
            store.join(foreign(session)).put_now([message(n)])
            session.commit()
    assert await copied(path, before)
    engine.dispose()


async def test_async_sessions_too(store: SqliteStore, path: Path) -> None:
    engine, before = prepare(create_async_engine(f"sqlite+aiosqlite:///{path}")), path.stat().st_size
    async with AsyncSession(engine) as session:
        for n in range(12):
            await store.join(foreign(session)).put([message(n)])
            await session.commit()
    assert await copied(path, before)
    await engine.dispose()


async def test_a_connection_that_cannot_tell_lets_a_later_put_do_it(store: SqliteStore, user: sqlite3.Connection, path: Path) -> None:
    before = path.stat().st_size
    for n in range(12):
        store.join(user).put_now([message(n)])
        user.commit()
    assert await copied(path, before)


async def test_the_log_does_not_grow_for_ever(store: SqliteStore, user: sqlite3.Connection, path: Path) -> None:
    log, sizes = Path(f"{path}-wal"), list[int]()
    for n in range(400):
        store.join(user).put_now([message(n)])
        user.commit()
        await until(lambda: not store._threads.joiner.janitor.busy, "the checkpoint is over")  # type: ignore[union-attr]
        sizes.append(log.stat().st_size)
    assert max(sizes) < 1_000_000  # of more than 8 that were logged


async def test_a_commit_after_a_while_is_enough(store: SqliteStore, user: sqlite3.Connection, path: Path, monkeypatch: Any) -> None:
    """Few commits, but who knows what else they wrote."""
    monkeypatch.setattr(checkpoint, "_PAGES", 8_000)
    monkeypatch.setattr(checkpoint, "_EVERY", 0.0)
    before = path.stat().st_size
    user.execute("create table pictures as select zeroblob(100000) as picture")
    store.join(user).put_now([message(0)])
    user.commit()
    store.join(user).put_now([message(1)])
    user.commit()
    assert await copied(path, before)


async def test_it_is_asked_for_once(store: SqliteStore, user: sqlite3.Connection) -> None:
    """While the user's own transaction is open the writer waits for it; nobody waits for the writer."""
    user.execute("begin immediate")
    for n in range(40):
        store.join(user).put_now([message(n)])
    assert [thread.name for thread in threading.enumerate()].count("penstock-janitor") == 1
    user.commit()
    await until(lambda: not store._threads.joiner.janitor.busy, "the checkpoint is over")  # type: ignore[union-attr]


async def test_a_store_that_is_closed_meanwhile_stops_nobody(store: SqliteStore, user: sqlite3.Connection) -> None:
    joined = store.join(user)
    await store.close()
    for n in range(12):
        joined.put_now([message(n)])
    user.commit()
    assert user.execute("select count(*) from penstock_message").fetchone() == (12,)
