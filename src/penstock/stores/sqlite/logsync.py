"""Syncing the write-ahead log after a commit, without the write lock; and what to do when a sync has failed.

The writer's connection commits with `synchronous = normal`: the commit can be seen, and is no more durable than the kernel's memory.
Whoever asked for durability is answered when `fdatasync` of the log has returned; meanwhile others have the lock, and a worker may
begin what was put. A log is durable up to its first frame that is not, and a sync takes all of it; so whatever is answered as
durable makes durable what it has seen. (https://www.sqlite.org/wal.html)

After a sync that failed the kernel may count its pages as written and never write them, whoever syncs again: what is committed
later would lie behind a gap. (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020.) So the same bytes are
written once more, and synced, at once; until that has succeeded, no process of ours writes or checkpoints. It rests on the file
system to show what was written, as ext4 and XFS do for as long as the page stays in memory.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import sys
import weakref
from contextlib import suppress
from pathlib import Path

from penstock.errors import StoreUnavailable

if sys.platform == "darwin":
    _fdatasync = os.fsync
else:
    _fdatasync = os.fdatasync

_PIECE = 1 << 20

log = logging.getLogger("penstock.store")


class LogSync:
    """Of one connection. Used by its thread. The child of a fork closes its copy."""

    def __init__(self, database: str) -> None:
        self._path = _log_of(database)
        self._fd = -1
        forget = weakref.WeakMethod(self.leave)  # a registration is for ever
        os.register_at_fork(after_in_child=lambda: leave() if (leave := forget()) is not None else None)

    def follow(self) -> None:
        """The connection has begun to write, so its log is there. Raises OSError."""
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)

    def sync(self) -> None:
        """Raises OSError: whether the log is on the disk nobody can tell."""
        _fdatasync(self._fd)

    def leave(self) -> None:
        """The connection is closed: it may have been the last one, and the next one's log another file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class Gap:
    """There may be one in the log. A file in the folder says so to all processes, also to those that come later."""

    def __init__(self, database: str, folder: Path) -> None:
        self._log = _log_of(database)
        self._mark = os.fspath(folder / "log-not-synced")
        self._unmarked = False
        """It is there, and the file could not be made."""

    @property
    def is_there(self) -> bool:
        """Asked before every write: `access` answers without an exception."""
        return self._unmarked or os.access(self._mark, os.F_OK)

    def note(self, error: Exception) -> None:
        """Any thread, with the write lock or without. Never raises."""
        log.error("a sync of %s failed (%s); nothing is written until it has been written again", self._log, error)
        try:
            os.close(os.open(self._mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError:
            self._unmarked = True

    def close(self, connection: sqlite3.Connection, doing: str) -> None:
        """Before `doing` writes. The caller holds the folder's write lock and no transaction. Raises StoreUnavailable and sqlite3.Error."""
        if not self.is_there:
            return
        connection.execute("begin immediate")  # nobody writes to the log, or begins it anew, not even a program that is not ours
        try:
            self._write_again()
            with suppress(FileNotFoundError):
                Path(self._mark).unlink()
        except OSError as error:
            raise StoreUnavailable(
                f"{doing}: a sync of the write-ahead log failed, and so did writing it once more ({error}). Look after the disk; nothing "
                "is written until that succeeds, and then it goes on by itself"
            ) from error
        finally:
            connection.execute("rollback")
        self._unmarked = False
        log.warning("%s has been written and synced again: it goes on", self._log)

    def _write_again(self) -> None:
        """What was committed before the lock was taken is durable then."""
        with suppress(FileNotFoundError):  # no log: everything is in the file
            fd = os.open(self._log, os.O_RDWR | os.O_CLOEXEC)
            try:
                at = 0
                while piece := os.pread(fd, _PIECE, at):
                    if os.pwrite(fd, piece, at) < len(piece):
                        raise OSError(errno.EIO, "not all of it was written")
                    at += len(piece)
                _fdatasync(fd)
            finally:
                os.close(fd)


def _log_of(database: str) -> str:
    return f"{database}-wal"
