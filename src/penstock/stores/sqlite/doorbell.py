"""Waking other processes: a datagram to every bell in the folder, and `pragma data_version` behind it.

A commit that may have brought work rings. Rings may be lost (full buffers, a foreign program that writes with our SQL): a look
at `data_version`, which any commit by anybody changes, finds those within `_LOOK` seconds. Nothing here decides what to do;
listeners just look again.
"""

from __future__ import annotations

import asyncio
import os
import queue
import re
import socket
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from penstock.errors import StoreError
from penstock.model.statement import Rows
from penstock.stores.sql.filelock import make_private
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite.forkable import Forkable

_LOOK = 0.05
"""Seconds between looks at data_version while nothing rings: 0.02 % of a core."""

EAR = re.compile(r"ear-[0-9a-z]{1,32}")
"""What the sockets of those who wait for an end are called: anything else in a row is nobody's, and perhaps somebody's file."""

_WORDS = 100
"""Ends in one datagram."""


class Ringer:
    """Rings everybody. Used by any thread.

    Whoever is woken may run at once where the one who rings does, which then waits: up to 0.25 ms. Who has something better to do than
    to wait has a thread of its own ring (`ring_aside`).
    """

    def __init__(self, bells: Path) -> None:
        self._bells = bells
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._known: Sequence[str] = []
        self._seen = -1
        self._lock = threading.Lock()
        self._asked: queue.SimpleQueue[Sequence[str] | None] = queue.SimpleQueue()
        """Bells. None: that was all."""
        self._thread: threading.Thread | None = None

    def ring_aside(self) -> None:
        """Never raises. Where there can be no thread it rings by itself."""
        bells = self._listeners()
        if not bells:
            return
        if self._thread is not None or self._start():
            self._asked.put(bells)
        else:
            self._ring(bells)

    def can_ring_aside(self) -> bool:
        """Not before it has done so once, or where there can be no thread."""
        return self._thread is not None

    def ring(self) -> None:
        """Never raises: it comes after the commit. Who is not reached will look anyway."""
        self._ring(self._listeners())

    def tell(self, heard: Rows) -> None:
        """Ring those who wait for an end: (job, bell). Never raises."""
        bells: defaultdict[str, list[str]] = defaultdict(list)
        for job, bell in heard:
            if isinstance(bell, str) and EAR.fullmatch(bell):
                bells[bell].append(job)
        for bell, jobs in bells.items():
            for start in range(0, len(jobs), _WORDS):
                send(self._socket, " ".join(jobs[start : start + _WORDS]).encode(), self._bells / bell)

    def close(self) -> None:
        """When nobody writes any more."""
        if self._thread is not None:
            self._asked.put(None)
            self._thread.join()
        self._socket.close()

    def _start(self) -> bool:
        thread = threading.Thread(target=self._work, name="penstock-bells", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self._thread = thread
        return True

    def _work(self) -> None:
        """One ring is as good as many: the latest one, which knows all bells."""
        left: Sequence[str] = ()
        while (bells := self._asked.get()) is not None:
            if self._asked.empty():
                self._ring(bells)
                left = ()
            else:
                left = bells
        if left:  # closing has overtaken it
            self._ring(left)

    def _ring(self, bells: Sequence[str]) -> None:
        for bell in bells:
            send(self._socket, b"\0", bell)

    def _listeners(self) -> Sequence[str]:
        with self._lock, suppress(OSError):
            changed = self._bells.stat().st_mtime_ns
            if changed != self._seen:
                self._seen = changed
                self._known = [entry.path for entry in os.scandir(self._bells) if entry.name.startswith("bell-")]
        return self._known


def send(sender: socket.socket, words: bytes, bell: str | Path) -> None:
    """Never raises. A bell whose owner died without taking it down is taken down."""
    try:
        sender.sendto(words, os.fspath(bell))
    except (ConnectionRefusedError, FileNotFoundError):
        with suppress(OSError):
            Path(bell).unlink()
    except OSError:
        pass  # its buffer is full


def bind(listener: socket.socket, bell: Path) -> None:
    """Whoever left last may have taken the folder away (`Folder.leave`)."""
    while True:
        try:
            return listener.bind(os.fspath(bell))
        except FileNotFoundError:
            make_private(bell.parent)


class Watch:
    """One listener on one loop."""

    def __init__(self, database: str, bells: Path, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._path = bells / f"bell-{os.urandom(6).hex()}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        bind(self._socket, self._path)
        self._database = database
        self._forkable = Forkable(self._connect)
        self._version = self._look()
        self._loop.add_reader(self._socket.fileno(), self._rung)
        self._timer = self._loop.call_later(_LOOK, self._check)

    def close(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self._path.unlink(missing_ok=True)
        self._forkable.close()

    def _rung(self) -> None:
        try:
            while True:
                self._socket.recv(16)
        except BlockingIOError:
            pass
        self._wake()

    def _check(self) -> None:
        version = self._look()
        if version != self._version:
            self._version = version
            self._wake()
        self._timer = self._loop.call_later(_LOOK, self._check)

    def _look(self) -> int:
        try:
            with self._forkable as connection:
                return int(connection.execute("pragma data_version").fetchone()[0])
        except (sqlite3.Error, StoreError):
            return -1

    def _connect(self) -> sqlite3.Connection:
        connection = connections.connect_readonly(self._database)
        connection.execute("pragma busy_timeout = 0")
        self._version = 0  # each connection counts by itself
        return connection
