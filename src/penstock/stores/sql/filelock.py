"""Locks on files of ours, by `flock`: a process that is dead holds none. And the folders in which they lie."""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path

from penstock.errors import ConfigurationError
from penstock.stores.sql.refusals import refused


class FileLock:
    """An `flock` on a file of ours. The child of a fork closes its copy, so that it cannot keep a dead parent's lock."""

    def __init__(self, path: Path) -> None:
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise refused(error, f"lock {path}") from error
        forget = weakref.WeakMethod(self._forget)  # a registration is for ever, a lock is not
        os.register_at_fork(after_in_child=lambda: close() if (close := forget()) is not None else None)

    def try_acquire(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def release(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        self._forget()

    def _forget(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def is_free(path: Path) -> bool:
    """Nobody holds the lock file, or it is gone."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:  # another user's
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def make_private(folder: Path) -> None:
    """A run-time folder lies where anybody may create one. Raises OSError, and ConfigurationError if it is not ours alone."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ConfigurationError(f"{folder} belongs to somebody else or is open to others: remove it, or set XDG_RUNTIME_DIR")
