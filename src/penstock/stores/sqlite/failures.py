"""sqlite3's errors in Penstock's words: what was attempted, what is wrong, what to do."""

from __future__ import annotations

import sqlite3

from penstock.errors import SchemaOutdated, StoreCorrupt, StoreError, StoreFull, StoreReadOnly, StoreUnavailable

_LOCKED = "another program holds the file's write lock for longer than 5 s; find it, or let its transaction end"
_CAUSES: tuple[tuple[str, type[StoreError], str], ...] = (
    ("SQLITE_FULL", StoreFull, "the disk is full; free some space, then it goes on by itself"),
    ("SQLITE_READONLY", StoreReadOnly, "the file or its folder cannot be written by this user"),
    ("SQLITE_PERM", StoreReadOnly, "the file or its folder cannot be written by this user"),
    ("SQLITE_CORRUPT", StoreCorrupt, "the file is damaged; stop all workers, copy it with its -wal, and restore a backup"),
    ("SQLITE_NOTADB", StoreCorrupt, "the file is not an SQLite database"),
    ("SQLITE_BUSY", StoreUnavailable, _LOCKED),
    ("SQLITE_LOCKED", StoreUnavailable, _LOCKED),
    ("SQLITE_CANTOPEN", StoreUnavailable, "the file cannot be opened; does its folder exist, and may this user enter it?"),
    ("SQLITE_IOERR", StoreUnavailable, "the device reported an error"),
)


def name_of(error: sqlite3.Error) -> str:
    """SQLite's own name of it; empty for errors of the Python module (a missing parameter, two statements at once)."""
    return (error.sqlite_errorname or "") if hasattr(error, "sqlite_errorname") else ""


def translate(error: sqlite3.Error, doing: str) -> StoreError | None:
    """The StoreError for an error of the file; None for an error of the statement."""
    name = name_of(error)
    if "statements in progress" in str(error):  # SQLITE_BUSY too, but it is a cursor that somebody left open
        return None
    for prefix, kind, advice in _CAUSES:
        if name.startswith(prefix):
            return kind(f"{doing}: {advice} ({error})")
    if "no such table: penstock_" in str(error) or "no such column" in str(error):
        return SchemaOutdated(f"{doing}: the schema is not there or not this release's; run `penstock store migrate` ({error})")
    return None


def translated(error: sqlite3.Error, doing: str) -> StoreError:
    return translate(error, doing) or StoreError(f"{doing}: {error}")
