"""A connection that a fork finds closed.

SQLite counts a process's locks on a file in that process's memory. A child inherits the counts of the connections that are open,
but not the locks. So its own connections would take none, others would delete the log under it, and what it commits would be
lost; or it would wait for ever for a lock that only its memory holds. (SQLite: such a connection may neither be used nor closed
in the child.) Therefore before the process forks, each connection of ours is left idle and closed; its next use opens it again.

One that has a transaction open stays: it is its owner's. A child that was forked meanwhile cannot write to this file: StoreUnavailable.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable


class Forkable:
    """Enter it around each use of the connection: a fork waits for the end of the block, so never wait for others inside."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        _register(weakref.ref(self))

    def __enter__(self) -> sqlite3.Connection:
        self._lock.acquire()
        try:
            if self._connection is None:
                self._connection = self._connect()
        except BaseException:
            self._lock.release()
            raise
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def roll_back(self) -> None:
        with self._lock:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("rollback")

    def before_fork(self) -> None:
        self._lock.acquire()
        if self._connection is not None and not self._connection.in_transaction:
            self.close()

    def after_fork(self) -> None:
        """In the parent. In the child it is forgotten: nobody may enter it."""
        self._lock.release()


def _register(found: weakref.ref[Forkable]) -> None:
    """Hooks cannot be taken back, so they must not keep what they are for."""
    told: list[Forkable] = []

    def before() -> None:
        if (forkable := found()) is not None:
            forkable.before_fork()
            told.append(forkable)

    def after() -> None:
        if told:
            told.pop().after_fork()

    os.register_at_fork(before=before, after_in_parent=after)
