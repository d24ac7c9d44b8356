"""Opening the file: the settings that make it fast and safe, the same on every connection of ours."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from penstock.errors import StoreReadOnly, StoreUnavailable
from penstock.model.statement import Rows
from penstock.stores.sql.executors import SyncRun
from penstock.stores.sqlite.failures import translated

BUSY = 5.0
"""Seconds to wait for a writer that does not queue at our lock file."""

_SETTINGS = (
    "pragma synchronous = full",
    "pragma temp_store = memory",
    "pragma cache_size = -8000",
    "pragma journal_size_limit = 67108864",
    "pragma wal_autocheckpoint = 0",
    "pragma mmap_size = 0",
    "pragma trusted_schema = off",
)


def create(path: str) -> None:
    """Make the file before SQLite first sees it, so that nobody else can ever read it."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except FileNotFoundError as error:
        raise StoreUnavailable(f"create {path}: its folder does not exist") from error
    except PermissionError as error:
        raise StoreReadOnly(f"create {path}: its folder cannot be written by this user") from error


def connect(path: str) -> sqlite3.Connection:
    """A connection in autocommit mode: transactions are begun by name. May be used from any one thread at a time."""
    try:
        connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False, cached_statements=512)
        for setting in _SETTINGS:
            connection.execute(setting).fetchall()
        if connection.execute("pragma journal_mode").fetchone()[0] != "wal":
            connection.execute("pragma journal_mode = wal").fetchall()
    except sqlite3.Error as error:
        raise translated(error, f"open {path}") from error
    return connection


def connect_readonly(path: str) -> sqlite3.Connection:
    """To look: never creates a file."""
    if not Path(path).exists():
        raise StoreUnavailable(f"open {path}: there is no such file")
    try:
        connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        connection.execute("pragma query_only = on").fetchall()
        connection.execute("pragma wal_autocheckpoint = 0").fetchall()
    except sqlite3.Error as error:
        raise translated(error, f"open {path}") from error
    return connection


def runner(connection: sqlite3.Connection) -> SyncRun:
    """The executor for this kind of connection."""
    execute = connection.execute

    def run(sql: str, params: Any) -> Rows:
        return execute(sql, params).fetchall()

    return run
