"""One place for a worker process: whoever dies in it is followed by another."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from penstock.cli.supervision.order import Order
from penstock.cli.supervision.restarts import Restarts
from penstock.cli.supervision.tether import Gone, Ready, Stop, Tether, Word, pair

Spawn: TypeAlias = Callable[[socket.socket], "subprocess.Popen[bytes]"]


class Death(Struct, frozen=True):
    """How a child ended."""

    pid: int
    status: int
    """As `Popen.returncode`: below 0, the signal that killed it."""
    lived: float

    @property
    def how(self) -> str:
        if self.status >= 0:
            return f"ended with exit code {self.status}"
        try:
            return f"was killed by {signal.Signals(-self.status).name}"
        except ValueError:
            return f"was killed by signal {-self.status}"


class Slot:
    """Not running and without `again`: over."""

    def __init__(self, number: int, order: Order, spawn: Spawn, monotonic: Callable[[], float]) -> None:
        self.number = number
        self.ready = False
        self.last: Death | None = None
        self.again: float | None = None
        """On the monotonic clock: when the next child starts."""
        self._order = order
        self._spawn = spawn
        self._monotonic = monotonic
        self._restarts = Restarts()
        self._child: subprocess.Popen[bytes] | None = None
        self._tether: Tether | None = None
        self._born = 0.0

    @property
    def running(self) -> bool:
        return self._child is not None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    @property
    def tether(self) -> Tether | None:
        return self._tether

    def start(self) -> None:
        ours, theirs = pair()
        with theirs:
            self._child = self._spawn(theirs)
        ours.tell(self._order)
        self._untie()
        self._tether = ours
        self._born = self._monotonic()
        self.ready = False
        self.again = None

    def start_if_due(self) -> None:
        if self.again is not None and self._monotonic() >= self.again:
            self.start()

    def hear(self) -> Sequence[Word]:
        """What the child said, also its last words."""
        if self._tether is None:
            return ()
        words = self._tether.heard()
        self.ready = self.ready or any(isinstance(word, Ready) for word in words)
        if any(isinstance(word, Gone) for word in words):
            self._untie()
        return words

    def reap(self) -> Death | None:
        """Its death, if it has died since; the next one is due when `again` says."""
        child = self._child
        if child is None or child.poll() is None:
            return None
        lived = self._monotonic() - self._born
        self.last = Death(child.pid, child.returncode, lived)
        self.again = self._monotonic() + self._restarts.wait_after(lived)
        self._child = None
        return self.last

    def stop(self, *, now: bool) -> None:
        """No other one follows."""
        self.again = None
        if self._tether is not None:
            self._tether.tell(Stop(now))

    def send(self, number: int) -> None:
        """Only to a child that has its handlers: a signal kills one that has not."""
        if self._child is not None and self.ready:
            self._child.send_signal(number)

    def _untie(self) -> None:
        if self._tether is not None:
            self._tether.close()
            self._tether = None

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()


def spawner(app: str) -> Spawn:
    """A fresh interpreter each: nothing is forked."""

    def spawn(theirs: socket.socket) -> subprocess.Popen[bytes]:
        fd = theirs.fileno()
        command = [sys.executable, "-m", "penstock", "worker", app, "--tether", str(fd)]
        return subprocess.Popen(command, pass_fds=[fd], stdin=subprocess.DEVNULL)

    return spawn
