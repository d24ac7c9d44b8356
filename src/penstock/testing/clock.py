"""Time that stands still until a test moves it."""

from __future__ import annotations

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
_BOOT = "test"
_PART = r"(\d+(?:\.\d+)?)\s*(ms|[wdhms])"


class VirtualClock:
    """The time of one store, for all its handles."""

    def __init__(self, start: int | None = None) -> None:
        """`start` in µs since the epoch; None: the time it is now."""
        self.given = start is not None
        self._now = WallClock().now() if start is None else start
        self._set = 0

    def now(self) -> int:
        """µs since the epoch."""
        return self._now

    def move_to(self, instant: int) -> None:
        """Never back."""
        self._now = max(self._now, instant)

    def advance(self, seconds: float) -> None:
        self._now += micros(seconds)

    def set_wall(self, seconds: float) -> None:
        """Somebody sets the machine's wall clock, forward or back; no time passes."""
        self._set += micros(seconds)

    def wall(self) -> int:
        """What the machine's wall clock shows."""
        return self._now + self._set

    def store_clock(self) -> StoreClock:
        """For one handle. All are of one boot, that of every test, so that a file which has served a test needs no new anchor."""
        return StoreClock(self.wall, self.now, _BOOT)


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
