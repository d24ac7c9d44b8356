"""Copying the write-ahead log back into the file.

SQLite before 3.51.3 can lose commits when two connections checkpoint and write at the same moment (the "WAL-reset bug"). So
automatic checkpoints are off on every connection, and ours run in the writer's thread while it holds the folder's write lock:
no commit of a Penstock process can fall between. Each process copies after about as much as it wrote itself; the maintenance
leader also every few seconds, for what connections of the user's wrote, and so does a process that puts on them (see `janitor`).
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable

from penstock.stores.sqlite.failures import name_of
from penstock.stores.sqlite.logsync import Gap

log = logging.getLogger("penstock.store")

_EVERY = 10.0
"""Seconds between the leader's checkpoints."""
_PAGES = 8_000
"""About 32 MB of log."""
_PAGES_A_COMMIT = 6
_CHANGES_A_PAGE = 20


class Checkpointer:
    """Shared by the threads of a process that commit, as is `gap`."""

    def __init__(self, gap: Gap, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.gap = gap
        self._monotonic = monotonic
        self._pages = 0.0
        self._last = monotonic()

    def count(self, changes: int) -> None:
        """A commit that changed so many rows: an estimate of the pages it logged, since sqlite3 does not tell."""
        self._pages += _PAGES_A_COMMIT + changes / _CHANGES_A_PAGE

    def remind(self) -> None:
        """The leader's and the janitor's: due if the last one was a while ago, whoever wrote since."""
        if self._monotonic() - self._last >= _EVERY:
            self._pages = _PAGES

    @property
    def due(self) -> bool:
        return self._pages >= _PAGES

    def run(self, connection: sqlite3.Connection) -> None:
        """The caller holds the folder's write lock and no transaction. A long reader may leave some for the next time."""
        self._pages = 0.0
        self._last = self._monotonic()
        try:
            connection.execute("pragma wal_checkpoint(passive)").fetchall()
        except sqlite3.Error as error:
            self.note(error)
            log.warning("checkpoint failed; it is tried again later", exc_info=True)

    def note(self, error: sqlite3.Error) -> None:
        """Of an error of SQLite's, if it is that of a sync."""
        if name_of(error) == "SQLITE_IOERR_FSYNC":
            self.gap.note(error)
