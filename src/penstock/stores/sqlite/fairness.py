"""Leaving the write lock to others for a moment, when it was ours without a break for long."""

from __future__ import annotations

import time

HOLD = 0.005
_LEAVE = 0.0002


class Fairness:
    """One for each thread that takes the lock again and again."""

    def __init__(self) -> None:
        self._since = 0.0

    def leave(self, *, more: bool, paused: float = 0.0) -> None:
        """The lock has been released, `paused` seconds ago. `more`: this thread wants it again at once."""
        now = time.monotonic()
        if not more or paused >= _LEAVE:
            self._since = now
        elif now - self._since >= HOLD:
            time.sleep(_LEAVE)
            self._since = time.monotonic()
