"""Opening the file: the settings that make it fast and safe, the same on every connection of ours."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from penstock.errors import StoreUnavailable
from penstock.model.statement import Program, Rows
from penstock.stores.sql import executors
from penstock.stores.sql.executors import SyncRun
from penstock.stores.sql.library import Library
from penstock.stores.sql.refusals import refused
from penstock.stores.sqlite.failures import translated

T = TypeVar("T")

BUSY = 5.0
"""Seconds to wait for a writer that does not queue at our lock file."""
_AGAIN = 0.005

_SETTINGS = (
    "pragma synchronous = full",
    "pragma temp_store = memory",
    "pragma cache_size = -8000",
    "pragma journal_size_limit = 67108864",
    "pragma wal_autocheckpoint = 0",
    "pragma mmap_size = 0",
    "pragma trusted_schema = off",
)
_LOOKING = ("pragma query_only = on", "pragma wal_autocheckpoint = 0")
_CHANGES = ("insert ", "update ", "delete ")


def create(path: str) -> None:
    """Make the file before SQLite first sees it, so that nobody else can ever read it."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise refused(error, f"create {path}") from error


def connect(path: str) -> sqlite3.Connection:
    """A connection in autocommit mode: transactions are begun by name. May be used from any one thread at a time."""
    return _open(path, _SETTINGS)


def is_logged(connection: sqlite3.Connection) -> bool:
    """Whether the file has a write-ahead log, without which readers and the writer would stop each other."""
    return bool(connection.execute("pragma journal_mode").fetchone()[0] == "wal")


def give_log(connection: sqlite3.Connection) -> None:
    """Raises StoreUnavailable, or sqlite3.Error. Where somebody else writes, SQLite refuses this at once, and waits for nothing: so this
    does. Call it behind the folder's lock, so that nobody of ours is in the way."""
    deadline = time.monotonic() + BUSY
    while True:
        try:
            answer = connection.execute("pragma journal_mode = wal").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_AGAIN)
        else:
            if answer != "wal":
                raise StoreUnavailable(f"give the file a write-ahead log: it stays in the mode {answer}")
            return


def connect_readonly(path: str) -> sqlite3.Connection:
    """To look: never creates a file."""
    if not Path(path).exists():
        raise StoreUnavailable(f"open {path}: there is no such file")
    return _open(path, _LOOKING)


def _open(path: str, settings: Sequence[str]) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False, cached_statements=512)
    except sqlite3.Error as error:
        raise translated(error, f"open {path}") from error
    try:
        for setting in settings:
            connection.execute(setting).fetchall()
    except sqlite3.Error as error:
        connection.close()
        raise translated(error, f"open {path}") from error
    return connection


def drive(connection: sqlite3.Connection, program: Program[T], library: Library) -> T:
    """Run a program to its end on this connection."""
    return executors.drive(program, library, runner(connection))


def runner(connection: sqlite3.Connection) -> SyncRun:
    """The executor for this kind of connection."""
    execute = connection.execute

    def run(sql: str, params: Any) -> Rows:
        try:
            return execute(sql, params).fetchall()
        except sqlite3.OperationalError as error:
            if "decode to UTF-8" not in str(error) or any(change in sql for change in _CHANGES):
                raise
            return _read_anyway(connection, sql, params)

    return run


def _read_anyway(connection: sqlite3.Connection, sql: str, params: Any) -> Rows:
    """SQLite keeps texts that are none from whoever wrote them: they are read with marks in them, so that they hold up nobody."""
    usual, connection.text_factory = connection.text_factory, lambda raw: raw.decode("utf-8", "replace")
    try:
        return connection.execute(sql, params).fetchall()
    finally:
        connection.text_factory = usual
