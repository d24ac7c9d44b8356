"""Syncing the write-ahead log after a commit, without the write lock.

The writer's connection commits with `synchronous = normal`: the commit can be seen, and is no more durable than the kernel's memory.
Whoever asked for durability is answered when `fdatasync` of the log has returned; meanwhile others have the lock, and a worker may
begin what was put. A log is durable up to its first frame that is not, and a sync takes all of it; so whatever is answered as
durable makes durable what it has seen. (https://www.sqlite.org/wal.html)
"""

from __future__ import annotations

import os
import sys

if sys.platform == "darwin":
    _fdatasync = os.fsync
else:
    _fdatasync = os.fdatasync


class LogSync:
    """Of one connection. Used by its thread."""

    def __init__(self, database: str) -> None:
        self._path = f"{database}-wal"
        self._fd = -1

    def follow(self) -> None:
        """The connection has committed, so its log is there. Raises OSError."""
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
