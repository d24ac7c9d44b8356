"""What a worker and its child processes say to each other.

Frames of JSON on a socket pair, four bytes of length before each; nothing is pickled, and nothing that is said names code. Whoever reads
the end of the stream knows that the other one is gone.
"""

from __future__ import annotations

import socket
import struct
from asyncio import StreamReader
from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from penstock.engine.nursery import Home
from penstock.model.delivery import Delivery
from penstock.model.outcome import Failure


class Work(Struct, frozen=True, tag="work"):
    delivery: Delivery


class Stop(Struct, frozen=True, tag="stop"):
    """The job was cancelled: it may end by itself for a while."""


class Leave(Struct, frozen=True, tag="leave"):
    """No more work: leave the lifespan, and end."""


class Ready(Struct, frozen=True, tag="ready"):
    """The app is there and its lifespan entered."""


class Unfit(Struct, frozen=True, tag="unfit"):
    """It never will be."""

    problem: str


class Progress(Struct, frozen=True, tag="progress"):
    """How far a job is."""

    seq: int
    """The job's."""
    fraction: float
    note: str


class Returned(Struct, frozen=True, tag="returned"):
    """As `model.outcome.Done`."""

    result: bytes | None = None
    unavailable: str | None = None


class Raised(Struct, frozen=True, tag="raised"):
    """`kind`: what it means; `seconds` for `retry_after` and `snooze`."""

    failure: Failure
    kind: Literal["error", "gives_up", "retry_after", "snooze", "reject"] = "error"
    seconds: float = 0.0


Order: TypeAlias = Home | Work | Stop | Leave
"""From the worker."""

Reply: TypeAlias = Ready | Unfit | Progress | Returned | Raised
"""From the child."""

decode_order: Callable[[bytes], Order] = msgspec.json.Decoder(Home | Work | Stop | Leave).decode
decode_reply: Callable[[bytes], Reply] = msgspec.json.Decoder(Ready | Unfit | Progress | Returned | Raised).decode
_encode = msgspec.json.Encoder().encode
_LENGTH = struct.Struct(">I")


def frame(word: Order | Reply) -> bytes:
    body = _encode(word)
    return _LENGTH.pack(len(body)) + body


def first_order(end: socket.socket) -> Order | None:
    """Blocks until it is there. None: the other end is gone."""
    length = _exactly(end, _LENGTH.size)
    body = _exactly(end, *_LENGTH.unpack(length)) if length else b""
    return decode_order(body) if body else None


def _exactly(end: socket.socket, size: int) -> bytes:
    """Empty: it ended before."""
    found = b""
    while len(found) < size:
        if not (more := end.recv(size - len(found))):
            return b""
        found += more
    return found


async def next_frame(stream: StreamReader) -> bytes | None:
    """None: the other end is gone, maybe within a word."""
    try:
        (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
        return await stream.readexactly(length)
    except (EOFError, ConnectionError):
        return None
