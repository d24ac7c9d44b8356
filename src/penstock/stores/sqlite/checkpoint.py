"""Copying the write-ahead log back into the file.

SQLite before 3.51.3 can lose commits when two connections checkpoint and write at the same moment (the "WAL-reset bug"). So
automatic checkpoints are off on every connection, and ours run in the writer's thread while it holds the folder's write lock:
no commit of a Penstock process can fall between. Each process copies after about as much as it wrote itself; the maintenance
leader also every few seconds, for what connections of the user's wrote, and so does a process that puts on them (see `janitor`).

If a sync of the log has failed, the kernel may count its pages as written and never write them: what is committed after that would
lie behind a gap. What the file system still shows is right, so the log is copied into the file, which SQLite syncs; until that is done
to its end this process writes nothing. Every other process meets the same error at its own descriptors, and does the same.
(Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020.)
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable

from penstock.errors import StoreUnavailable

log = logging.getLogger("penstock.store")

_EVERY = 10.0
"""Seconds between the leader's checkpoints."""
_PAGES = 8_000
"""About 32 MB of log."""
_PAGES_A_COMMIT = 6
_CHANGES_A_PAGE = 20


class Checkpointer:
    """Shared by the threads of a process that commit."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._pages = 0.0
        self._last = monotonic()
        self.gap = False
        """A sync of the log has failed."""

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
        except sqlite3.Error:
            log.warning("checkpoint failed; it is tried again later", exc_info=True)

    def mend(self, connection: sqlite3.Connection, doing: str) -> None:
        """Before `doing` writes anything, as `run`. Raises StoreUnavailable and sqlite3.Error."""
        if self.gap:
            busy, frames, copied = connection.execute("pragma wal_checkpoint(passive)").fetchone()
            if busy or frames != copied:
                raise StoreUnavailable(
                    f"{doing}: the device failed while the log was synced, and the log cannot be copied into the file while a transaction "
                    "that is open reads it; let that end, or stop all processes"
                )
            self.gap = False
