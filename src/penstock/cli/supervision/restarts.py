"""When a child that died is started again."""

from __future__ import annotations

FIRST = 0.1
LONGEST = 30.0
FORGIVEN = 10.0
"""Seconds of life after which earlier deaths do not count any more."""


class Restarts:
    """At once the first time, then after 0.1 s, doubling to 30 s. One for each slot."""

    def __init__(self) -> None:
        self._deaths = 0

    def wait_after(self, lived: float) -> float:
        """Seconds to wait, after a child that lived for `lived` seconds."""
        if lived >= FORGIVEN:
            self._deaths = 0
        self._deaths += 1
        if self._deaths == 1:
            return 0.0
        return float(min(LONGEST, FIRST * 2.0 ** min(self._deaths - 2, 20)))
