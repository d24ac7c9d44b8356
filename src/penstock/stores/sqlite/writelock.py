"""The queue in front of SQLite's write lock, with an end to waiting.

`flock` makes waiters sleep in the kernel and wakes them at once, but it cannot be given a time limit. So whoever meets a taken
lock lets a second thread wait for it, and waits for that thread. If its patience ends first, the second thread goes on waiting
(nothing can call it back); what it gets then, it gives back at once, or hands to whoever has come meanwhile.

That is four changes of threads, longer than one message takes to be put. Whoever expects to wait for no more than that tries for a
moment without sleeping, and so may overtake those who sleep. Where that does not help, it is done less and less often.

Who holds it then (a process that was stopped, a debugger, a hung disk) is named, where the kernel tells.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from penstock.errors import StoreUnavailable
from penstock.stores.sql.filelock import FileLock

PATIENCE = 5.0
LOCKS = Path("/proc/locks")
_MOMENT = 0.0005
"""Seconds: twice what it takes to put a message on a machine that has just slept."""
_MISSES = 6
"""Failed tries in a row that count, at the most."""

log = logging.getLogger("penstock.store")


class WriteLock(FileLock):
    """Used by one thread."""

    def __init__(self, path: Path, patience: float = PATIENCE) -> None:
        super().__init__(path)
        self._path = path
        self._patience = patience
        self._state = threading.Condition()
        self._asked = False
        """The second thread waits for the lock, or is about to."""
        self._wanted = False
        self._got = False
        self._closed = False
        self._misses = self._left_out = 0
        """Failed tries in a row, and how many are to be left out now."""
        self._second = -1
        """Its own descriptor of the same lock: no other file can take its number while it waits."""

    def acquire(self, meanwhile: Callable[[], None] | None = None) -> None:
        """Raises StoreUnavailable; then it is not ours.

        `meanwhile` must not raise. Give one where the lock is expected to be free in a moment: it is called if it is not free yet,
        and trying has not failed lately (`_try_for_a_moment`).
        """
        if self._try() or (meanwhile is not None and self._try_for_a_moment(meanwhile)):
            return
        with self._state:
            got = self._wait()
        if not got:
            raise StoreUnavailable(f"waited {self._patience:g} s for {self._path}: {_blame(holder(self._path))}")

    def close(self) -> None:
        with self._state:
            self._closed = True
            super()._forget()
            self._state.notify_all()

    def _forget(self) -> None:
        """In the child of a fork, where there is no second thread."""
        super()._forget()
        self._let_second_go()

    def _try(self) -> bool:
        with self._state:
            return not self._asked and self.try_acquire()

    def _try_for_a_moment(self, meanwhile: Callable[[], None]) -> bool:
        """After n failures in a row it is left out 2^n - 1 times, 63 at the most."""
        if self._left_out:
            self._left_out -= 1
            return False
        end = time.monotonic() + _MOMENT
        meanwhile()
        while not (got := self._try()) and time.monotonic() < end:
            os.sched_yield()
        self._misses = 0 if got else min(self._misses + 1, _MISSES)
        self._left_out = 2**self._misses - 1
        return got

    def _wait(self) -> bool:
        self._start_helper()
        self._wanted = self._asked = True
        self._state.notify_all()
        got = self._state.wait_for(lambda: self._got, self._patience)
        self._wanted = self._got = False
        return got

    def _start_helper(self) -> None:
        """Raises StoreUnavailable where the system has no thread or descriptor left."""
        if self._second < 0:
            try:
                self._second = os.dup(self._fd)
                threading.Thread(target=self._help, name="penstock-lock", daemon=True).start()
            except (OSError, RuntimeError) as error:
                self._let_second_go()
                raise StoreUnavailable(f"wait for {self._path}: {error}") from error

    # -- the second thread

    def _help(self) -> None:
        try:
            while self._is_asked():
                fcntl.flock(self._second, fcntl.LOCK_EX)
                self._hand_over()
        except OSError:
            log.warning("waiting for %s failed; it is tried again", self._path, exc_info=True)
        finally:
            with self._state:
                self._asked = False
                self._let_second_go()

    def _is_asked(self) -> bool:
        with self._state:
            self._state.wait_for(lambda: self._asked or self._closed)
            return not self._closed

    def _hand_over(self) -> None:
        """Not asked any more only when it is given back: until then the first thread must not take it, for it would be both's."""
        with self._state:
            if self._wanted and not self._closed:
                self._got = True
                self._state.notify_all()
            else:
                fcntl.flock(self._second, fcntl.LOCK_UN)
            self._asked = False

    def _let_second_go(self) -> None:
        second, self._second = self._second, -1
        if second >= 0:
            os.close(second)


def holder(path: Path) -> int | None:
    """The process that has `path` locked by `flock`, if the kernel tells."""
    try:
        found = path.stat()
        lines = LOCKS.read_text().splitlines()
    except OSError:
        return None
    file = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    held = (line.split() for line in lines if "->" not in line)
    return next((int(words[4]) for words in held if words[1] == "FLOCK" and words[5] == file), None)


def _blame(pid: int | None) -> str:
    if pid is None:
        return "another process holds it"
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        state = ""
    if state in ("T", "t"):
        return f"process {pid} holds it and is stopped: kill -CONT {pid} lets it go on"
    return f"process {pid} holds it now; if it always does, look whether it hangs, or waits for another program on the file (fuser)"
