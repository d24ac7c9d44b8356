"""SQLAlchemy in a transaction of a SQLite store. The transaction's connection lives on a thread of its own: each statement is sent
there, and its rows come back whole. What SQLAlchemy does at the end of a connection ends nothing here: the store ends its transaction.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

from msgspec import Struct
from sqlalchemy import Connection, Engine, NullPool
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import await_only

from penstock.errors import ConfigurationError
from penstock.integrations.fences import Fence
from penstock.ports.transaction import Guest, Loan

T = TypeVar("T")


def guests(engine: object, path: str) -> Guests:
    """For the store on that file. Raises ConfigurationError."""
    if not isinstance(engine, Engine | AsyncEngine):
        raise ConfigurationError(f"App(transactions={type(engine).__name__}): a SQLAlchemy Engine or AsyncEngine")
    file = engine.url.database if engine.dialect.name == "sqlite" else None
    if not file or os.path.realpath(file) != os.path.realpath(path):
        raise ConfigurationError(
            f"App(transactions=engine): the engine is on {engine.url.render_as_string()}, the app's store is the SQLite file {path}; "
            "one transaction cannot span two databases"
        )
    return Guests(engine)


class Guests:
    """What makes them, for one engine of the user's: it says how SQL is written, and whether it is awaited."""

    def __init__(self, engine: Engine | AsyncEngine) -> None:
        theirs = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
        self._lent: ContextVar[Driver] = ContextVar("penstock_lent")
        pool = NullPool(self._connect, dialect=theirs.dialect)
        self._engine = Engine(pool, theirs.dialect, theirs.url, echo="debug" if theirs.echo == "debug" else bool(theirs.echo))
        self._awaited = AsyncEngine(self._engine) if isinstance(engine, AsyncEngine) else None

    def __call__(self, loan: Loan) -> Guest:
        token = self._lent.set(Driver(loan, awaits=self._awaited is not None))
        try:
            connection = self._engine.connect()
        finally:
            self._lent.reset(token)
        theirs = connection if self._awaited is None else AsyncConnection(self._awaited, connection)
        return Visit(theirs, connection, Fence(connection))

    def _connect(self) -> Any:
        return self._lent.get()


class Visit(Struct, frozen=True):
    """Implements `ports.transaction.Guest`."""

    connection: Connection | AsyncConnection
    inner: Connection
    fence: Fence

    def leave(self) -> None:
        self.fence.fall()
        self.inner.close()


class Driver:
    """What SQLAlchemy takes for a connection of sqlite3's, or of aiosqlite's adapted."""

    isolation_level = None

    def __init__(self, loan: Loan, *, awaits: bool) -> None:
        self._connection = self
        """SQLAlchemy asks aiosqlite's for the one inside."""
        self._loan = loan
        self._awaits = awaits

    def use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await_only(self._loan.use(work)) if self._awaits else self._loan.use_now(work)

    def cursor(self, *, server_side: bool = False) -> Cursor:
        return Cursor(self)

    def commit(self) -> None:
        """Not ours to do, nor the others. A user's never comes here."""

    def rollback(self) -> None: ...

    def close(self) -> None: ...

    def terminate(self) -> None: ...


class Cursor:
    """Of a statement that has run: its rows are here."""

    arraysize = 1

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._rows: deque[Any] = deque()
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    def execute(self, sql: str, params: Any = ()) -> Cursor:
        return self._run(lambda cursor: cursor.execute(sql, params))

    def executemany(self, sql: str, params: Sequence[Any]) -> Cursor:
        return self._run(lambda cursor: cursor.executemany(sql, params))

    def fetchone(self) -> Any:
        return self._rows.popleft() if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        return [self._rows.popleft() for _ in range(min(size or self.arraysize, len(self._rows)))]

    def fetchall(self) -> list[Any]:
        rows, self._rows = list(self._rows), deque()
        return rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fetchall())

    def close(self) -> None:
        self._rows.clear()

    async def _async_soft_close(self) -> None:
        """SQLAlchemy asks for it where it awaits. There is nothing left to be closed."""

    def _run(self, run: Callable[[sqlite3.Cursor], object]) -> Cursor:
        def work(connection: sqlite3.Connection) -> None:
            cursor = connection.cursor()
            run(cursor)
            self._rows = deque(cursor.fetchall())  # what a `returning` changed is counted when its rows have been fetched
            self.description, self.rowcount, self.lastrowid = cursor.description, cursor.rowcount, cursor.lastrowid

        self._driver.use(work)
        return self
