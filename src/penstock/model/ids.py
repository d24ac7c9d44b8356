"""Identifiers: names a user may choose, and UUID version 7 for what has none."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Annotated, TypeAlias

from msgspec import Meta

NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}\Z")
"""What queues, tasks, keys, ids and workers may be called."""

Name: TypeAlias = Annotated[str, Meta(pattern=rf"\A{NAME.pattern}")]
"""One, where it is read from the store."""

_LOW = (1 << 62) - 1


def is_name(text: str) -> bool:
    return NAME.match(text) is not None


class IdSource:
    """Monotonic UUIDv7 (RFC 9562 §5.7, §6.2 method 2): the ids of one process sort in the order they were made.

    The random tail is a counter that starts at a random number each millisecond; a fork starts anew, so that parent and
    child never share a sequence. Not locked: one source belongs to one thread, or to callers that hold the GIL for the call.
    """

    def __init__(self, milliseconds: Callable[[], int], entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._milliseconds = milliseconds
        self._entropy = entropy
        self._last = 0
        self._head = ""
        self._tail = 0
        self._pid = 0

    def next(self) -> str:
        now = self._milliseconds()
        if now > self._last or self._pid != os.getpid():
            self._restart(max(now, self._last))
        else:
            self._tail += 1
        return f"{self._head}{self._tail:012x}"

    def several(self, count: int) -> list[str]:
        """As many calls of `next`, at a third of their cost."""
        if not count:
            return []
        self.next()
        first = self._tail
        self._tail += count - 1
        head = self._head
        return [f"{head}{tail:012x}" for tail in range(first, first + count)]

    def _restart(self, now: int) -> None:
        self._last = now
        self._pid = os.getpid()
        chance = int.from_bytes(self._entropy(9), "big")
        time, high = f"{now:012x}", chance >> 48 & 0xFFFFFF
        self._head = f"{time[:8]}-{time[8:]}-7{high >> 12:03x}-{0x8000 | high & 0xFFF:04x}-"
        self._tail = chance & (1 << 47) - 1  # 47 of 48 bits: the counter cannot run over
