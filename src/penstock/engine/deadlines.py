"""The one timer behind all deadlines."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

_GRAIN = 0.01
"""Seconds between two looks at the least, so that many short timeouts do not become many looks."""


class Deadlines:
    """Looks at what runs only when the soonest deadline has come. A message costs one comparison with `next`, not a timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, overdue: Callable[[float], float]) -> None:
        """`overdue(now)` stops what is late and returns the soonest deadline left, `inf` if there is none."""
        self.next = math.inf
        self._loop = loop
        self._overdue = overdue
        self._timer: asyncio.TimerHandle | None = None

    def aim(self, deadline: float) -> None:
        self.stop()
        self.next = deadline
        self._timer = self._loop.call_at(deadline, self._look)

    def stop(self) -> None:
        self.next = math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self.stop()
        now = self._loop.time()
        soonest = self._overdue(now)
        if soonest < math.inf:
            self.aim(max(soonest, now + _GRAIN))
