"""A connection to another kind of database is refused by name, before anything is asked of it."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from penstock.errors import ConfigurationError
from penstock.integrations.sqlalchemy import foreign
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
