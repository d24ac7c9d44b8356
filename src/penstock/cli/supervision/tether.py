"""What ties a parent and a child: a socket pair whose end of file means that the other one is gone.

The parent tells its order, `stop` and `now`; the child tells that it is ready, or why it cannot be. Signals are not used for
that: a service manager and a terminal send theirs to parent and children alike, so that a forwarded one would count twice.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Sequence
from typing import TypeAlias

import msgspec
from msgspec import Struct

from penstock.cli.supervision.order import Order

_LONGEST = 65_536


class Stop(Struct, frozen=True, tag="stop"):
    """Claim nothing more and let what runs end; `now`: release it."""

    now: bool = False


class Ready(Struct, frozen=True, tag="ready"):
    """It is enrolled and claims."""

    store: str
    """Its URL, not masked: this is a private socket."""
    queues: tuple[str, ...]


class Failed(Struct, frozen=True, tag="failed"):
    """It cannot work, for a reason that is told in one sentence."""

    code: int
    message: str


class Gone(Struct, frozen=True, tag="gone"):
    """The other end is closed: the last word."""


Word: TypeAlias = Order | Stop | Ready | Failed | Gone

_decode = msgspec.json.Decoder(Order | Stop | Ready | Failed | Gone).decode
_encode = msgspec.json.Encoder().encode


class Tether:
    """One end. Lines of JSON; never blocks."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._rest = b""
        self._words: list[Word] = []

    def fileno(self) -> int:
        return self._end.fileno()

    def tell(self, word: Word) -> None:
        """To one that is gone: no effect, its end is noticed otherwise."""
        try:
            self._end.send(_encode(word) + b"\n")
        except (BrokenPipeError, ConnectionResetError):
            return

    def heard(self) -> Sequence[Word]:
        """What has come since."""
        self._read()
        words, self._words = self._words, []
        return words

    def first(self) -> Word:
        """Wait for a word; those that came with it are heard next."""
        while not self._words:
            select.select([self._end], [], [])
            self._read()
        return self._words.pop(0)

    def _read(self) -> None:
        try:
            more = self._end.recv(_LONGEST)
        except BlockingIOError:
            return
        except ConnectionResetError:
            more = b""
        *lines, self._rest = (self._rest + more).split(b"\n")
        self._words += map(_decode, lines)
        if not more:
            self._words.append(Gone())

    def close(self) -> None:
        self._end.close()


def pair() -> tuple[Tether, socket.socket]:
    """The parent's end, and the one that a child inherits."""
    ours, theirs = socket.socketpair()
    return Tether(ours), theirs


def inherited(fd: int) -> Tether:
    return Tether(socket.socket(fileno=fd))
