"""Store time: the server's, kept as this process's monotonic clock and an offset.

Every machine reads the same clock, the server's, so their own wall clocks play no part. It is measured when the store opens and
then every minute; a measurement is as good as half its round trip, and the quickest of a few counts. Time never goes back: an
offset that shrinks lets it stand still until the server has caught up.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

MEASURE_EVERY = 60.0
_TRIES = 3


def monotonic() -> int:
    """µs."""
    return time.monotonic_ns() // 1000


class PostgresClock:
    """Implements `Clock`. The monotonic clock is an argument, so that tests own it."""

    def __init__(self, monotonic: Callable[[], int] = monotonic, server: Callable[[], int] | None = None) -> None:
        """`server`: what stands for the server's clock in a test."""
        self._monotonic = monotonic
        self._server = server
        self._offset = 0
        self._last = 0

    def now(self) -> int:
        self._last = max(self._last, self._monotonic() + self._offset)
        return self._last

    async def measure(self, ask: Callable[[], Awaitable[int]]) -> None:
        """`ask` returns the server's time in µs."""
        measured: list[tuple[int, int]] = []
        for _ in range(_TRIES):
            before = self._monotonic()
            there = await ask() if self._server is None else self._server()
            after = self._monotonic()
            measured.append((after - before, there - (before + after) // 2))
        self._offset = min(measured)[1]
