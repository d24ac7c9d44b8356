"""Making a file ours: folder, settings, schema, clock, in that order, behind the folder's lock."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from penstock.stores.sql.library import Library
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite import migrate
from penstock.stores.sqlite.clock import StoreClock
from penstock.stores.sqlite.failures import translated
from penstock.stores.sqlite.files import Folder
from penstock.stores.sqlite.forkable import Forkable
from penstock.stores.sqlite.writelock import WriteLock


def open_file(folder: Folder, library: Library, clock: StoreClock, *, migrating: bool) -> None:
    """Raises StoreError or ConfigurationError; otherwise the file is there, current, and the clock is anchored."""
    folder.create()
    connections.create(folder.database)
    forkable = Forkable(lambda: connections.connect(folder.database))
    gap = folder.gap()
    try:
        with forkable as connection:
            if gap.is_there or not _is_up(connection, library, clock):
                with locked(folder):
                    gap.close(connection, f"open {folder.database}")  # who closes the file last copies its log
                    if not _is_up(connection, library, clock):  # who had the lock before may have done all
                        _bring_up(connection, folder.database, library, clock, migrating=migrating)
    except sqlite3.Error as error:
        raise translated(error, f"open {folder.database}") from error
    finally:
        forkable.close()


def _is_up(connection: sqlite3.Connection, library: Library, clock: StoreClock) -> bool:
    """Nothing to write: then opening never waits, also not for a transaction that this very thread has open elsewhere."""
    if not connections.is_logged(connection):
        return False
    schema = migrate.read(connection)
    if schema.found < migrate.NEEDED or schema.compatible > migrate.NEEDED:
        return False
    return connections.drive(connection, clock.load(), library)


@contextmanager
def locked(folder: Folder) -> Iterator[None]:
    lock = WriteLock(folder.path / "write.lock")
    try:
        lock.acquire()
        try:
            yield
        finally:
            lock.release()
    finally:
        lock.close()


def _bring_up(connection: sqlite3.Connection, path: str, library: Library, clock: StoreClock, *, migrating: bool) -> None:
    schema = migrate.read(connection)
    if not migrating or schema.compatible > migrate.NEEDED:
        migrate.check(schema, path)
    if not connections.is_logged(connection):
        connections.give_log(connection)
    if schema.found < migrate.NEEDED:
        migrate.migrate(connection)
    connection.execute("begin immediate")
    connections.drive(connection, clock.anchor(), library)
    connection.execute("commit")
