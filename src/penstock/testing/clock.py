"""Time that stands still until a test moves it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

from penstock.errors import ConfigurationError
from penstock.model.clock import SECOND, WallClock, from_datetime, micros
from penstock.stores.sqlite.clock import StoreClock

Length: TypeAlias = str | float | timedelta
"""A length of time: "1h", "1h30m", "7d"; a number is seconds."""

_UNITS: Mapping[str, int] = {
    "w": 7 * 24 * 3600 * SECOND,
    "d": 24 * 3600 * SECOND,
    "h": 3600 * SECOND,
    "m": 60 * SECOND,
    "s": SECOND,
    "ms": SECOND // 1000,
}
_PART = r"(\d+(?:\.\d+)?)\s*(ms|[wdhms])"


class VirtualClock:
    """The time of one store, for all its handles."""

    def __init__(self, start: int | None = None) -> None:
        """`start` in µs since the epoch; None: the time it is now."""
        self._start = WallClock().now() if start is None else start
        self._passed = 0
        self._boot = f"test-{os.urandom(6).hex()}"

    def now(self) -> int:
        """µs since the epoch."""
        return self._start + self._passed

    def move_to(self, instant: int) -> None:
        """Never back."""
        self._passed = max(self._passed, instant - self._start)

    def advance(self, seconds: float) -> None:
        self._passed += micros(seconds)

    def store_clock(self) -> StoreClock:
        """For one handle, as if all were programs of one boot of one machine."""
        return StoreClock(self.now, lambda: self._passed, self._boot)


def started(start: datetime | None) -> VirtualClock:
    """Raises ConfigurationError for a naive datetime."""
    try:
        return VirtualClock(None if start is None else from_datetime(start))
    except ValueError as error:
        raise ConfigurationError(f"testing.run(start={start!r}): {error}") from error


def length(given: Length) -> int:
    """In µs. Raises ConfigurationError."""
    found = _written(given) if isinstance(given, str) else micros(given)
    if found < 0:
        raise ConfigurationError(f"advance({given!r}): time never goes back")
    return found


def _written(text: str) -> int:
    if not re.fullmatch(rf"\s*(?:{_PART}\s*)+", text):
        raise ConfigurationError(f'advance({text!r}): a length of time is written as "90s", "15m", "1h30m", "7d", "2w"')
    return sum(round(float(number) * _UNITS[unit]) for number, unit in re.findall(_PART, text))
