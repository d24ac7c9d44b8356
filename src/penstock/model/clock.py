"""Time as integers: microseconds since the Unix epoch, by the store's clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Protocol, TypeAlias

from msgspec import Meta

Duration: TypeAlias = float | timedelta
"""A length of time. A number is seconds."""

SECOND = 1_000_000
"""Microseconds in a second."""

LONGEST = 1 << 62
"""µs: added to any instant of a store it still fits into 64 bits."""

Span: TypeAlias = Annotated[int, Meta(ge=0, le=LONGEST)]
"""µs, where they are read from the store."""


class Clock(Protocol):
    """The store's time. Machines' wall clocks are never compared with each other."""

    def now(self) -> int:
        """Microseconds since the epoch. Never goes back."""
        ...


class WallClock:
    """The machine's own clock: only for rims that have no store, such as log lines."""

    def now(self) -> int:
        return time.time_ns() // 1000


def seconds(duration: Duration) -> float:
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)


def micros(duration: Duration) -> int:
    return round(seconds(duration) * SECOND)


def to_datetime(instant: int) -> datetime:
    """An aware UTC datetime."""
    return datetime.fromtimestamp(instant / SECOND, UTC)


def from_datetime(moment: datetime) -> int:
    """A naive datetime is refused: it names no instant."""
    if moment.tzinfo is None:
        raise ValueError("a datetime without a time zone names no instant; pass an aware one, e.g. datetime.now(UTC)")
    return round(moment.timestamp() * SECOND)
