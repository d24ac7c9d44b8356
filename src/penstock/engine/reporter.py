"""Keeps in the store how far handlers are, as they say: the latest of each job, all jobs of the worker in one write a second.

A handler never waits for it: what it says replaces what it said before, and is written when the second is over, at once if none
was written in the last one. Fenced by the lease, so what is said too late is dropped; so is what the store could not keep when
the worker stops. Said on any thread; written on the loop.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from penstock.engine.service import Service
from penstock.engine.ties import Ties
from penstock.ports.follow import Follow, Report

PERIOD = 1.0
"""Seconds from one write to the next."""

Time: TypeAlias = Callable[[], float]


class Reporter(Service):
    def __init__(self, follow: Follow, owner: int, ties: Ties, time: Time | None = None) -> None:
        """`time`: seconds that never go back; the loop's unless given."""
        super().__init__("reporter", ties)
        self._follow = follow
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._time = time or self._loop.time
        self._said: dict[int, Report] = {}
        self._due = -math.inf
        self._lock = threading.Lock()

    def add(self, seq: int, fraction: float, note: str) -> None:
        """On any thread. Never raises."""
        with self._lock:
            idle = not self._said
            self._said[seq] = Report(seq, fraction, note)
        if idle:
            with suppress(RuntimeError):  # the loop is closed, and this thread outlived its worker
                self._loop.call_soon_threadsafe(self.wake)

    async def tick(self) -> float:
        if not self._said:
            return math.inf
        rest = self._due - self._time()
        if rest > 0:
            return rest
        self._due = self._time() + PERIOD
        said = self._take()
        try:
            await self._follow.tell(self._owner, list(said.values()))
        except Exception:
            self._put_back(said)
            raise
        return PERIOD if self._said else math.inf

    def _take(self) -> dict[int, Report]:
        with self._lock:
            said, self._said = self._said, {}
        return said

    def _put_back(self, said: dict[int, Report]) -> None:
        """What was said meanwhile is newer."""
        with self._lock:
            self._said = said | self._said
