"""A connection to another kind of database is refused by name, before anything is asked of it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from penstock.errors import ConfigurationError
from penstock.integrations.sqlalchemy import foreign, prepare
from penstock.model.job import JobFilter
from penstock.model.message import Message
from penstock.stores.sqlite.store import SqliteStore


async def test_a_session_on_another_database_is_refused(store: SqliteStore) -> None:
    with pytest.raises(ConfigurationError, match=r"speaks psycopg, the app's store is the SQLite file"):
        store.join(foreign(Session(create_engine("postgresql+psycopg://nowhere/users"))))
    with pytest.raises(ConfigurationError, match=r"speaks asyncpg"):
        store.join(foreign(AsyncSession(create_async_engine("postgresql+asyncpg://nowhere/users"))))


async def test_a_session_without_an_engine_is_refused(store: SqliteStore) -> None:
    with pytest.raises(ConfigurationError, match="no engine of its own"):
        store.join(foreign(Session()))


def test_drivers_have_one_name() -> None:
    assert foreign(Session(create_engine("sqlite://"))).driver == "sqlite3"
    assert foreign(AsyncSession(create_async_engine("sqlite+aiosqlite://"))).driver == "aiosqlite"


@pytest.mark.parametrize(("what", "factory"), [("row_factory", lambda cursor, row: {"a": row}), ("text_factory", bytes)])
async def test_an_engine_whose_rows_are_none_of_the_drivers_is_refused(
    store: SqliteStore, path: Path, message: Message, what: str, factory: Any
) -> None:
    """SQLAlchemy reads them, and what the driver has made of them is lost."""
    engine, later = prepare(create_engine(f"sqlite:///{path}")), prepare(create_async_engine(f"sqlite+aiosqlite:///{path}"))
    event.listen(engine, "connect", lambda connection, _: setattr(connection, what, factory))
    event.listen(later.sync_engine, "connect", lambda connection, _: setattr(connection.driver_connection, what, factory))
    with Session(engine) as session, pytest.raises(ConfigurationError, match="set no row_factory, and no text_factory"):
        store.join(foreign(session)).put_now([message])
    async with AsyncSession(later) as awaited:
        with pytest.raises(ConfigurationError, match="set no row_factory, and no text_factory"):
            await store.join(foreign(awaited)).put([message])
    engine.dispose()
    await later.dispose()


async def test_an_engine_whose_rows_have_names_is_joined(store: SqliteStore, path: Path, message: Message) -> None:
    engine = prepare(create_engine(f"sqlite:///{path}"))
    event.listen(engine, "connect", lambda connection, _: setattr(connection, "row_factory", sqlite3.Row))
    with Session(engine) as session:
        store.join(foreign(session)).put_now([message])
        session.commit()
    engine.dispose()
    assert [job.id for job in (await store.inspect.jobs(JobFilter(), limit=9)).jobs] == ["a"]
