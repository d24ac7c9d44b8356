"""The file, its companion folder, and the locks in it.

SQLite's own locks are POSIX locks of the process on the database file: any `close` of that file by our code would drop them,
so nothing here opens it. What Penstock locks are other files, by `flock`, in `<realpath>-penstock/` (mode 0700):

- `write.lock`     a kernel queue in front of SQLite's write lock (`writelock`): waiters sleep and wake at once instead of polling
- `worker-….lock`  held while a worker lives; whoever can lock it knows that the worker is dead
- `bell-…`         the doorbell sockets
- `ear-…`          the sockets of processes that wait for the end of a job
- `log-not-synced` a sync of the write-ahead log has failed (`logsync`)
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path

from penstock.errors import ConfigurationError, StoreUnavailable
from penstock.stores.sql.filelock import FileLock, is_free, make_private
from penstock.stores.sql.refusals import refused
from penstock.stores.sqlite.logsync import Gap

_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs", "fuse.s3fs", "lustre"})
MOUNTS = Path("/proc/self/mounts")
_OCTAL = re.compile(r"\\([0-7]{3})")
"""How it writes a space in a path."""
_SOCKET_PATH = 100
"""Bytes that a unix socket's path may have, with some to spare."""


class Folder:
    """Where the locks and the doorbells of one database file are."""

    def __init__(self, database: str) -> None:
        self.database = os.path.realpath(database)
        self.path = Path(f"{self.database}-penstock")

    def create(self) -> None:
        kind = filesystem(self.database)
        if kind in _NETWORK:
            raise ConfigurationError(f"{self.database} lies on a {kind} file system: SQLite's locks do not work there; use a local disk")
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
            if self.bells != self.path:
                make_private(self.bells)
            os.close(os.open(self.path / "write.lock", os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise refused(error, f"open {self.database}") from error

    def leave(self) -> None:
        """Take away the run-time folder, if nobody listens there; who comes makes it again."""
        if self.bells != self.path:
            with suppress(OSError):
                self.bells.rmdir()

    @property
    def bells(self) -> Path:
        """A short path for sockets: the folder itself, or one in the user's run-time folder."""
        if len(os.fsencode(self.path)) + len("/bell-0123456789abcdef") <= _SOCKET_PATH:
            return self.path
        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        return Path(os.environ.get("XDG_RUNTIME_DIR", "/tmp")) / f"penstock-{os.getuid()}-{digest}"

    def gap(self) -> Gap:
        """For one process, or for one who looks after it alone."""
        return Gap(self.database, self.path)

    def worker_lock(self, incarnation: int) -> Path:
        return self.path / f"worker-{incarnation:016x}.lock"

    def take(self, incarnation: int) -> FileLock:
        """A worker's proof of life."""
        lock = FileLock(self.worker_lock(incarnation))
        if not lock.try_acquire():
            lock.close()
            raise StoreUnavailable(f"enrol worker {incarnation:x}: its lock file is taken")
        return lock

    def died(self, incarnation: int) -> bool:
        return is_free(self.worker_lock(incarnation))

    def forget(self, incarnation: int) -> None:
        self.worker_lock(incarnation).unlink(missing_ok=True)


def filesystem(path: str) -> str:
    """The type of the file system that holds `path`, as the kernel names it; empty if it does not say."""
    try:
        mounts = MOUNTS.read_text("utf-8", "replace")
    except OSError:
        return ""
    best, kind = "", ""
    for line in mounts.splitlines():
        _, escaped, found, *_ = line.split(" ")
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), escaped)
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, found
    return kind
