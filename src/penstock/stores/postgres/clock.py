"""Store time: the server's, kept as the time since this machine's boot and an offset.

Every machine reads the same clock, the server's, so their own wall clocks play no part. It is measured when the store opens and
then every minute; a measurement is as good as half its round trip, and the quickest of a few counts. Time never goes back: an
offset that shrinks lets it stand still until the server has caught up. The time since boot goes on while the machine is suspended,
as the server's does; the monotonic clock would be late by that until the next measurement.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from penstock.stores.sql.boot import since_boot

MEASURE_EVERY = 60.0
_TRIES = 3


class PostgresClock:
    """Implements `Clock`. The machine's own clock is an argument, so that tests own it."""

    def __init__(self, since_boot: Callable[[], int] = since_boot, server: Callable[[], int] | None = None) -> None:
        """`server`: what stands for the server's clock in a test."""
        self._since_boot = since_boot
        self._server = server
        self._offset = 0
        self._last = 0

    def now(self) -> int:
        self._last = max(self._last, self._since_boot() + self._offset)
        return self._last

    async def measure(self, ask: Callable[[], Awaitable[int]]) -> None:
        """`ask` returns the server's time in µs."""
        measured: list[tuple[int, int]] = []
        for _ in range(_TRIES):
            before = self._since_boot()
            there = await ask() if self._server is None else self._server()
            after = self._since_boot()
            measured.append((after - before, there - (before + after) // 2))
        self._offset = min(measured)[1]
