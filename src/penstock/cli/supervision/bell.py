"""Signals and sockets, waited for together."""

from __future__ import annotations

import selectors
import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from penstock.cli.supervision.tether import Tether

Handler: TypeAlias = Callable[[int, Any], Any] | int | signal.Handlers | None

WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)


class Bell:
    """On the main thread: signals arrive as numbers, one by one, in their order."""

    def __init__(self, wakeup: socket.socket) -> None:
        self._wakeup = wakeup

    def wait(self, tethers: Iterable[Tether], timeout: float | None) -> Sequence[int]:
        """Returns when a signal came, a tether has news, or the time is over; the signals."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._wakeup, selectors.EVENT_READ)
            for tether in tethers:
                selector.register(tether, selectors.EVENT_READ)
            selector.select(timeout)
        try:
            return tuple(self._wakeup.recv(4096))
        except BlockingIOError:
            return ()


@contextmanager
def listening() -> Iterator[Bell]:
    """A signal that was ignored (nohup) stays ignored."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        watched = [number for number in WATCHED if signal.getsignal(number) is not signal.SIG_IGN]
        before: dict[int, Handler] = {number: signal.signal(number, _note) for number in watched}
        wakeup = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        try:
            yield Bell(ours)
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)


def _note(number: int, frame: object) -> None:
    """The number is in the socket already."""
