"""What a worker holds without knowing it: a claim that committed, and whose reply was lost.

A lease lasts as long as its worker, so nobody else would ever take those messages back. So the queue remembers what its claims
have given. Once one of them has failed, whatever else is leased to the worker is released, uncounted, before the next claim; and so it
goes on for a while, because the server may finish what it was sent after the connection has broken.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from penstock.errors import StoreError
from penstock.model.delivery import Delivery, Settlement
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
_MANY = 20_000
"""What is remembered of one worker until it is looked what has ended elsewhere: in transactions."""


class Doubt:
    """Of one worker."""

    def __init__(self, owner: int) -> None:
        self._owner = owner
        self._known: set[int] = set()
        self._until = 0.0

    def course(self, ask: Claim, bounds: Bounds) -> Course[Claimed]:
        """A claim. Only one of a worker's runs at a time."""
        if (step := self._step()) is not None:
            yield step
        try:
            claimed = yield from course(ask, bounds, self._rise)
        except StoreError:
            self._rise()
            raise
        self._known.update(delivery.seq for run in claimed.runs for delivery in run)
        return claimed

    def ended(self, seqs: Iterable[int]) -> None:
        self._known.difference_update(seqs)

    def _rise(self) -> None:
        self._until = time.monotonic() + _LASTS

    def _step(self) -> Step | None:
        """What has to be done before the next claim, if anything."""
        if time.monotonic() < self._until:
            return Step(self._release_the_rest)
        return Step(self._forget, single=True) if len(self._known) > _MANY else None

    def _release_the_rest(self, now: int) -> Program[None]:
        yield Statement("lock_worker", {"owner": self._owner})
        held = {row[0] for row in (yield Statement("leases_of", {"owner": self._owner}))}
        self._known &= held
        if unknown := held - self._known:
            rows = yield Statement("facts_of", {"seqs": str(sorted(unknown))})
            yield from settle(self._owner, [Settlement(_delivery(row), Released()) for row in rows], now)

    def _forget(self, now: int) -> Program[None]:
        self._known &= {row[0] for row in (yield Statement("leases_of", {"owner": self._owner}))}


def _delivery(row: Row) -> Delivery:
    return Delivery(row[SEQ], row[ID], row[QUEUE], row[TASK], row[FAILURES], b"", row[KEY], options=row[OPTIONS], deaths=row[DEATHS])
