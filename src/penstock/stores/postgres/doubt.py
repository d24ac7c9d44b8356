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
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager

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
_NOW_AND_THEN = 30.0
_MANY = 20_000
"""What is remembered of one worker until it is looked what has ended elsewhere: in transactions."""


class Doubt:
    """Of one worker."""

    def __init__(self, owner: int, *, pooled: bool) -> None:
        self._owner = owner
        self._known: Counter[int] = Counter()
        """How often it was claimed and has not ended: what was given back can be claimed again before its settle is answered."""
        self._settling: set[int] = set()
        self._until = 0.0
        self._look = False
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
        self._learn([delivery.seq for run in claimed.runs for delivery in run])
        return claimed

    @contextmanager
    def settling(self, seqs: Sequence[int]) -> Generator[None, None, None]:
        """Around a settle of these. One that fails is tried again."""
        self._settling.update(seqs)
        try:
            yield
            self.end(seqs)
        finally:
            self._settling.difference_update(seqs)

    def look(self) -> None:
        """The server may have crashed."""
        self._look = True

    def end(self, seqs: Iterable[int]) -> None:
        known = self._known
        for seq in seqs:
            if known[seq] > 1:
                known[seq] -= 1
            else:
                del known[seq]

    def _learn(self, seqs: Sequence[int]) -> None:
        """Claimed anew though it has not ended: it is just being given back, or a crash has undone the claim before."""
        known = self._known
        if known.keys().isdisjoint(seqs):
            known.update(seqs)
        else:
            known.update([seq for seq in seqs if seq not in known or seq in self._settling])

    def _rise(self) -> None:
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
        held = {row[0] for row in (yield Statement("leases_of", {"owner": self._owner}))}
        self._keep(held)
        if unknown := held - self._known.keys():
            rows = yield Statement("facts_of", {"seqs": str(sorted(unknown))})
            yield from settle(self._owner, [Settlement(_delivery(row), Released()) for row in rows], now)

    def _forget(self, now: int) -> Program[None]:
        self._keep({row[0] for row in (yield Statement("leases_of", {"owner": self._owner}))})

    def _keep(self, held: set[int]) -> None:
        self._known = Counter({seq: count for seq, count in self._known.items() if seq in held})


def _delivery(row: Row) -> Delivery:
    return Delivery(row[SEQ], row[ID], row[QUEUE], row[TASK], row[FAILURES], b"", row[KEY], options=row[OPTIONS], deaths=row[DEATHS])
