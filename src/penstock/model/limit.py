"""Limits of a queue over all workers: how many jobs run at once, and how often one may start.

A rate is a token bucket in whole numbers: a token is worth `per`, and each µs brings `count`. So nothing is won or lost by rounding,
whoever looks how often. The bucket holds what a tenth of a second brings, at least one token: in any t seconds at most
`rate × t + burst` jobs start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from penstock.model.clock import SECOND

_UNITS: Mapping[str, int] = {"s": SECOND, "m": 60 * SECOND, "min": 60 * SECOND, "h": 3_600 * SECOND, "d": 86_400 * SECOND}
_RATE = re.compile(r"([0-9]{1,9})/(s|m|min|h|d)", re.ASCII)
_FASTEST = 1_000_000
"""A second: a token a µs."""


class Limit(Struct, frozen=True):
    """Of one queue. None: no limit of that kind."""

    queue: str
    concurrency: int | None = None
    rate: str | None = None


class Rate(Struct, frozen=True):
    """`count` tokens in `per` µs."""

    count: int
    per: int

    @property
    def burst(self) -> int:
        """Tokens that a full bucket holds."""
        return max(1, self.count * SECOND // (10 * self.per))


class Bucket(Struct, frozen=True):
    """How full it was at an instant (µs)."""

    level: int
    at: int


def parse_rate(text: str) -> Rate:
    """`100/s`, `5/min`, `1000/h`, `10/d`. Raises ValueError."""
    found = _RATE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a rate: a whole number for a second, minute, hour or day, such as 100/s, 5/min, 1000/h or 10/d")
    rate = Rate(int(found[1]), _UNITS[found[2]])
    if rate.count < 1:
        raise ValueError(f"{text!r}: at least 1; to start nothing, pause the queue")
    if rate.count * SECOND > _FASTEST * rate.per:
        raise ValueError(f"{text!r}: at most {_FASTEST:,} a second; leave the rate out if there is none")
    return rate


def full(rate: Rate, now: int) -> Bucket:
    return Bucket(rate.burst * rate.per, now)


def refilled(rate: Rate, bucket: Bucket, now: int) -> Bucket:
    """A clock that is behind fills nothing, and no time counts twice."""
    at = max(now, bucket.at)
    return Bucket(min(rate.burst * rate.per, bucket.level + (at - bucket.at) * rate.count), at)


def tokens(rate: Rate, bucket: Bucket) -> int:
    return bucket.level // rate.per


def spent(rate: Rate, bucket: Bucket, count: int) -> Bucket:
    return Bucket(bucket.level - count * rate.per, bucket.at)


def next_token(rate: Rate, bucket: Bucket) -> int:
    """µs: when there is one."""
    return bucket.at + max(0, -(-(rate.per - bucket.level) // rate.count))
