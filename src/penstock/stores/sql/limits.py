"""Limits of queues over all workers, decided in the claim's own transaction: so they are exact, however many claim.

- What an operator set wins over what the code says; the code's values are those of the worker that started last.
- `concurrency`: `running` of the queue's counter is how many are leased. A claim takes one message of a key at a time, and no more
  than may start at once, so what is leased runs. A rescue of a dead worker takes its messages out of that count.
- `rate`: the bucket is written with the leases. A crash after that costs tokens, never gives any.
- A queue without limits costs nothing but the one look at all rules. What cannot be read is passed over: one wrong row must not stop
  every queue.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from penstock.model.limit import Bucket, Limit, Rate, full, next_token, parse_rate, refilled, spent, tokens
from penstock.model.statement import Program, Row, Rows, Statement

QUEUE, NAME, VALUE, OPERATORS = range(4)
_GRAIN = 10_000
"""µs until a claim is told to ask again, at the least: the bucket holds more than that."""
_WIDTH = 4


class Rules:
    """Of all queues. What operators set hides what the code says."""

    def __init__(self, rows: Rows) -> None:
        self._values: dict[tuple[str, str], str] = {(row[QUEUE], row[NAME]): row[VALUE] for row in sorted(rows, key=_operators_last)}
        self.paused = frozenset(queue for (queue, name), value in self._values.items() if name == "paused" and value == "true")
        self.queues = frozenset(queue for queue, _ in self._values)
        """Of which anything is said."""
        self.limited = frozenset(queue for queue, name in self._values if name in ("concurrency", "rate"))

    def limit(self, queue: str) -> Limit | None:
        """None: there is none."""
        if queue not in self.limited:
            return None
        concurrency, rate = self.value(queue, "concurrency"), self.value(queue, "rate")
        return Limit(queue, concurrency if isinstance(concurrency, int) else None, rate if isinstance(rate, str) else None)

    def value(self, queue: str, name: str) -> Any:
        """None: nobody said any."""
        try:
            return msgspec.json.decode(self._values.get((queue, name), "null"))
        except msgspec.DecodeError:
            return None


def _operators_last(row: Row) -> int:
    return int(row[OPERATORS])


class Gate:
    """What one limited queue lets start now."""

    def __init__(self, limit: Limit, state: Row, now: int) -> None:
        running, *bucket = state
        self._queue = limit.queue
        self._now = now
        self._text = limit.rate
        self._rate = _rate(limit.rate)
        self._bucket = Bucket(0, now) if self._rate is None else self._fill(self._rate, bucket)
        self.ends_count = limit.concurrency is not None
        """The end of one lets another one start."""
        self._free = math.inf if limit.concurrency is None else max(0, limit.concurrency - (running or 0))

    def _fill(self, rate: Rate, bucket: Row) -> Bucket:
        """A rate that is new begins with a full one."""
        text, level, at = bucket
        return refilled(rate, Bucket(level, at), self._now) if text == self._text else full(rate, self._now)

    @property
    def allows(self) -> float:
        return min(self._free, math.inf if self._rate is None else tokens(self._rate, self._bucket))

    def pass_through(self, count: int) -> Program[None]:
        """So many were leased."""
        self._free -= count
        if self._rate is not None and count:
            self._bucket = spent(self._rate, self._bucket, count)
            facts = {"queue": self._queue, "rate": self._text, "level": self._bucket.level, "at": self._bucket.at}
            yield Statement("set_bucket", facts)

    @property
    def is_full(self) -> bool:
        """Until one of them ends."""
        return self._free <= 0

    @property
    def opens_at(self) -> int | None:
        """µs. None: when one of them ends."""
        if self._rate is None or self._free <= 0:
            return None
        return max(self._now + _GRAIN, next_token(self._rate, self._bucket))

    @property
    def reopens_at(self) -> int | None:
        """µs: when the rate, closed now, lets the next one start; of a fast one, the next few. None: it is open."""
        if self._rate is None or tokens(self._rate, self._bucket) > 0:
            return None
        fast = self._rate.per < _GRAIN * self._rate.count
        return max(self._now + (_GRAIN if fast else 0), next_token(self._rate, self._bucket))


def read_rules() -> Program[Rules]:
    return Rules((yield Statement("queue_rules")))


def gate(limit: Limit | None, now: int) -> Program[Gate | None]:
    if limit is None:
        return None
    state = yield Statement("limit_state", {"queue": limit.queue})
    return Gate(limit, state[0], now)


def next_opening(after: int) -> Program[int | None]:
    """µs: when the first of the rates that keep something back at `after` lets the next one start. None: none does."""
    rules = yield from read_rules()
    openings: list[int] = []
    for queue in sorted(rules.limited - rules.paused):
        if (yield Statement("any_ready", {"queue": queue})) or (yield Statement("suspect_waits", {"queue": queue})):
            closed = yield from gate(rules.limit(queue), after)
            if closed is not None and (opening := closed.reopens_at) is not None:
                openings.append(opening)
    return min(openings, default=None)


def register(app: str, limits: Sequence[Limit]) -> Program[None]:
    """What the newest release of this app says, instead of all that an older one said."""
    yield Statement("drop_limits", {"app": app})
    values: list[object] = []
    for limit in limits:
        said: Mapping[str, Any] = {"concurrency": limit.concurrency, "rate": limit.rate}
        for name, value in said.items():
            if value is not None:
                values += (limit.queue, name, msgspec.json.encode(value).decode(), app)
    if values:
        yield Statement("set_limits", values=values, width=_WIDTH)


def _rate(text: str | None) -> Rate | None:
    try:
        return None if text is None else parse_rate(text)
    except ValueError:
        return None
