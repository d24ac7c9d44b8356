"""What a worker holds without knowing it: a claim that committed, and whose reply was lost; a settle that was answered, and that a
crash of the server undid, since settles are not flushed.

A lease lasts as long as its worker, so nobody else would ever take those messages back. So the queue remembers what its claims
have given. Once one of them has failed, whatever else is leased to the worker is released, uncounted, before the next claim; and so it
goes on for a while, because the server may finish what it was sent after the connection has broken. When a connection was made anew the
server may have crashed, so it is looked once; behind a pooler, where nobody says so, now and then.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from penstock.errors import StoreError
from penstock.model.delivery import EVER, Delivery, Settlement
from penstock.model.outcome import Released
from penstock.model.statement import Program, Row, Statement
from penstock.ports.queue import Claim, Claimed
from penstock.stores.postgres.claim import course
from penstock.stores.postgres.course import Course, Step
from penstock.stores.postgres.look import Bounds
from penstock.stores.postgres.settling import settle
from penstock.stores.sql.leases import DEATHS, FAILURES, ID, KEY, OPTIONS, QUEUE, SEQ, TASK

_LASTS = 15.0
"""Seconds."""
_NOW_AND_THEN = 30.0
_MANY = 20_000
"""What is remembered of one worker until it is looked what has ended elsewhere: in transactions."""


class Doubt:
    """Of one worker."""

    def __init__(self, owner: int, *, pooled: bool) -> None:
        self._owner = owner
        self._known: dict[int, int] = {}
        """When what it has was claimed last, by seq. What was given back can be claimed again before its settle is answered."""
        self._claimed = self._doubted = 0
        """Of the last claim, and of the last one when something was undone or hidden, as far as is known."""
        self._until = 0.0
        self._look = False
        self._pooled = pooled
        self._every = _NOW_AND_THEN if pooled else math.inf
        self._looked = time.monotonic()

    def course(self, ask: Claim, bounds: Bounds) -> Course[Claimed]:
        """A claim. Only one of a worker's runs at a time."""
        if (step := self._step()) is not None:
            try:
                yield step
            except StoreError:
                self._look = True
                raise
        try:
            claimed = yield from course(ask, bounds, self._rise)
        except StoreError:
            self._rise()
            raise
        self._known.update([(delivery.seq, delivery.claimed) for run in claimed.runs for delivery in run])
        return claimed

    def in_order(self, ask: Claim, now: int) -> Claim:
        """It has a time of its own, later than that of the one before: it is what tells two claims of one message apart."""
        self._claimed = max(self._claimed + 1, now)
        return replace(ask, claimed=self._claimed)

    def parts(self, settlements: Sequence[Settlement]) -> Sequence[Sequence[Settlement]]:
        """What is written apart: a statement takes leases up to the youngest claim that it is given. All together, unless one of these
        claims may have been undone, or one may be hidden: then each claim by itself, the oldest first. Behind a pooler nobody knows."""
        claims = {each.delivery.claimed for each in settlements}
        if len(claims) <= 1 or (min(claims) > self._doubted and not self._pooled):
            return [settlements]
        return [[each for each in settlements if each.delivery.claimed == claim] for claim in sorted(claims)]

    def end(self, settlements: Iterable[Settlement]) -> None:
        known = self._known
        for each in settlements:
            if known.get(each.delivery.seq, EVER) <= each.delivery.claimed:
                known.pop(each.delivery.seq, None)

    def look(self) -> None:
        """The server may have crashed."""
        self._look = True
        self.doubt()

    def doubt(self) -> None:
        """What was claimed until now may be claimed once more."""
        self._doubted = self._claimed

    def _rise(self) -> None:
        self.doubt()
        self._until = time.monotonic() + _LASTS

    def _step(self) -> Step | None:
        """What has to be done before the next claim, if anything."""
        now = time.monotonic()
        if now < self._until or self._look or now - self._looked >= self._every:
            self._look, self._looked = False, now
            return Step(self._release_the_rest)
        return Step(self._forget, single=True) if len(self._known) > _MANY else None

    def _release_the_rest(self, now: int) -> Program[None]:
        yield Statement("lock_worker", {"owner": self._owner})
        if unknown := (yield from self._compare()):
            rows = yield Statement("facts_of", {"seqs": str(sorted(unknown))})
            yield from settle(self._owner, [Settlement(_delivery(row), Released()) for row in rows], now)

    def _forget(self, now: int) -> Program[None]:
        yield from self._compare()

    def _compare(self) -> Program[set[int]]:
        """What is held and not known, or by another claim than the one that is known. What is known and not held is forgotten."""
        held: dict[int, int] = {row[0]: row[1] for row in (yield Statement("leases_of", {"owner": self._owner}))}
        self._known = {seq: claimed for seq, claimed in self._known.items() if held.get(seq) == claimed}
        return held.keys() - self._known.keys()


def _delivery(row: Row) -> Delivery:
    return Delivery(row[SEQ], row[ID], row[QUEUE], row[TASK], row[FAILURES], b"", row[KEY], options=row[OPTIONS], deaths=row[DEATHS])
