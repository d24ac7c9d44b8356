"""Writing in a transaction that a user opened on a connection of theirs: same file, same commit, or nothing.

`put` reads before it writes. The drivers' implicit transactions begin at the first statement that writes, so one that changes
nothing comes first: otherwise another process could commit between the reading and the writing.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Struct

from penstock.errors import ConfigurationError, StoreUnavailable
from penstock.model.statement import Program, Rows, Statement
from penstock.ports.store import Durability
from penstock.ports.transaction import AUTOCOMMITS, Answer, ForeignConnection
from penstock.stores.sql.executors import drive, drive_async
from penstock.stores.sql.verbs import JoinedVerbs
from penstock.stores.sqlite.access import Access
from penstock.stores.sqlite.failures import translated
from penstock.stores.sqlite.janitor import Janitor
from penstock.stores.sqlite.writer import Writer

FULL = 2
T = TypeVar("T")

_DRIVERS = ("sqlite3", "aiosqlite")


class Host(Struct, frozen=True):
    """What a joined connection needs of the store."""

    access: Access
    durability: Durability
    janitor: Janitor

    def committed(self) -> None:
        """Wakes the workers."""
        self.access.bells.ring()
        self.janitor.tidy()


class Sqlite3Connection:
    """A `sqlite3.Connection` as a foreign connection."""

    awaits = False
    driver = "sqlite3"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        if _commits_each_statement(connection) and not connection.in_transaction:
            raise ConfigurationError(
                "using(tx=connection): no transaction is open on this sqlite3 connection; execute('begin immediate') first"
            )

    def run(self, sql: str, params: Any) -> Rows:
        return self._execute(sql, params)[1]

    async def run_async(self, sql: str, params: Any) -> Rows:
        return self.run(sql, params)

    def named(self, sql: str, params: Any) -> Answer:
        cursor, rows = self._execute(sql, params)
        names = [column[0] for column in cursor.description or ()]
        return Answer([dict(zip(names, row, strict=True)) for row in rows], cursor.rowcount)

    async def named_async(self, sql: str, params: Any) -> Answer:
        return self.named(sql, params)

    def wire(self) -> object:
        return self._connection

    async def wire_async(self) -> object:
        return self._connection

    def after_commit(self, callback: Any) -> None:
        """sqlite3 has no hook: other processes find the commit by data_version."""

    def _execute(self, sql: str, params: Any) -> tuple[sqlite3.Cursor, Rows]:
        """Rows, whatever the user's connection makes of rows and of text."""
        connection, cursor = self._connection, self._connection.cursor()
        cursor.row_factory = None
        theirs, connection.text_factory = connection.text_factory, str
        try:
            rows = cursor.execute(sql, params).fetchall()
        finally:
            connection.text_factory = theirs
        return cursor, rows


def _commits_each_statement(connection: sqlite3.Connection) -> bool:
    if sys.version_info >= (3, 12) and connection.autocommit is not sqlite3.LEGACY_TRANSACTION_CONTROL:
        return connection.autocommit is True
    return connection.isolation_level is None


def as_foreign(connection: object) -> ForeignConnection:
    """What a user passed as `tx=`: a sqlite3 connection, or what an integration has wrapped."""
    if isinstance(connection, sqlite3.Connection):
        return Sqlite3Connection(connection)
    if isinstance(connection, ForeignConnection):
        return connection
    raise ConfigurationError(
        f"using(tx={type(connection).__name__}): this store can join sqlite3 connections, SQLAlchemy sessions and Django's connections"
    )


class Joiner:
    """Joins connections of the user's to one store."""

    def __init__(self, access: Access, writer: Writer) -> None:
        self.janitor = Janitor(access, writer)
        self._access = access

    def join(self, connection: object, durability: Durability) -> Joined:
        return Joined(Host(self._access, durability, self.janitor), as_foreign(connection))


class Joined(JoinedVerbs):
    """Implements `ports.transaction.Joined`."""

    def __init__(self, host: Host, foreign: ForeignConnection) -> None:
        if foreign.driver not in _DRIVERS:
            raise ConfigurationError(
                f"using(tx=…): this connection speaks {foreign.driver}, the app's store is the SQLite file {host.access.path}; "
                "one transaction cannot span two databases"
            )
        super().__init__(host.access.dialect)
        self._host = host
        self._foreign = foreign

    async def _write(self, make: Callable[[int], Program[T]], doing: str) -> T:
        try:
            if self._foreign.awaits:
                program = self._program(make, await self._foreign.wire_async())
                return await drive_async(program, self._host.access.library, self._foreign.run_async)
            return drive(self._program(make, self._foreign.wire()), self._host.access.library, self._foreign.run)
        except sqlite3.Error as error:
            raise translated(error, doing) from error

    def _write_now(self, make: Callable[[int], Program[T]], doing: str) -> T:
        if self._foreign.awaits:
            raise ConfigurationError("using(tx=…).sync: this connection is async; await the verb without .sync")
        try:
            return drive(self._program(make, self._foreign.wire()), self._host.access.library, self._foreign.run)
        except sqlite3.Error as error:
            raise translated(error, doing) from error

    def _program(self, make: Callable[[int], Program[T]], wire: Any) -> Program[T]:
        """`wire`: a connection of sqlite3 or aiosqlite."""
        yield from check(self._host)
        self._host.janitor.tidy()
        yield Statement("take_write_lock")
        if not wire.in_transaction:
            raise ConfigurationError(AUTOCOMMITS)
        if self._host.access.checkpointer.gap.is_there:
            raise StoreUnavailable("using(tx=…): a sync of the write-ahead log failed; look after the disk, then try again")
        yield from self._host.access.clock.load()
        result = yield from make(self._host.access.clock.now())
        self._host.janitor.wrote()
        self._foreign.after_commit(self._host.committed)
        return result


def same_file(database: str) -> Program[None]:
    """The connection is open on this very file."""
    files = yield Statement("database_list")
    path = next((row[2] for row in files if "main" in row), None)
    if path is None:
        raise ConfigurationError(
            "using(tx=…): this connection makes something else than tuples of rows, or than str of text: on an engine's connections "
            "set no row_factory, and no text_factory"
        )
    if not path or os.path.realpath(path) != database:
        raise ConfigurationError(
            f"using(tx=…): this connection is open on {path or 'a database in memory'}, the app's store is {database}; "
            "one transaction cannot span two stores"
        )


def check(host: Host) -> Program[None]:
    """This very file, and as durable as the app promises."""
    yield from same_file(host.access.path)
    if host.durability == "power" and (yield Statement("synchronous"))[0][0] < FULL:
        raise ConfigurationError(
            "using(tx=…): this connection has `pragma synchronous` below full, so its commits may be lost on power failure; "
            "set it to full (SQLAlchemy: prepare(engine), Django: sqlite_options()), or accept it: App(durability='inherit')"
        )
    if (yield Statement("autocheckpoint"))[0][0] != 0:
        yield Statement("no_autocheckpoint")
        warnings.warn(
            "a connection that joined Penstock had automatic checkpoints on; they are off now (SQLite before 3.51.3 can corrupt "
            "a WAL that two programs checkpoint). prepare(engine) of SQLAlchemy, or sqlite_options() of Django, sets it from the start",
            stacklevel=2,
        )
