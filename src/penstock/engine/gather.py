"""Makes batches for batch tasks: as many rows as the task takes, or what has come `wait` seconds after the first.

A row is one message. A claim gives rows of a batch task one by one, also those of a key; so a batch holds at most one message of a
key. A suspect is a batch of its own, at once. Rows that wait here are leased like any that wait for a slot: they are withdrawn when
their queue is paused, when they are cancelled or when the worker stops, and a crash costs them nothing but the lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct, structs

from penstock.model.delivery import Delivery
from penstock.ports.handler import Routes


def together(rows: Sequence[Delivery]) -> Delivery:
    """One invocation with all of these. It has the first one's place, and what a single one says of its timeout does not hold for all."""
    return structs.replace(rows[0], rows=tuple(rows), options=rows[0].options if len(rows) == 1 else None)


class _Open(Struct, eq=False):
    """A batch that is not full yet."""

    rows: dict[int, Delivery]
    """By seq: of two claims of one, a crash of the store undid the first."""
    timer: asyncio.TimerHandle


class _Kind(Struct, frozen=True):
    name: str
    size: int
    wait: float


class Gather:
    def __init__(self, routes: Routes, loop: asyncio.AbstractEventLoop) -> None:
        self.over: Callable[[Delivery], None] = lambda batch: None
        """Called with a batch whose wait is over."""
        self._kinds = {name: _Kind(route.name, *route.batch) for name, route in routes.items() if route.batch is not None}
        self._loop = loop
        self._open: dict[str, _Open] = {}

    def __len__(self) -> int:
        """Batches that are not full yet."""
        return len(self._open)

    @property
    def sizes(self) -> Mapping[str, int]:
        """By task name."""
        return {name: kind.size for name, kind in self._kinds.items()}

    def sift(self, runs: Sequence[Sequence[Delivery]]) -> Sequence[Sequence[Delivery]]:
        """What can start: rows stay here until their batch is full."""
        kinds = self._kinds
        if not kinds:
            return runs
        ready: list[Sequence[Delivery]] = []
        for run in runs:
            kind = kinds.get(run[0].task)
            if kind is None:
                ready.append(run)
            elif run[0].suspect:
                ready.append([together(run)])
            elif (batch := self._add(kind, run[0])) is not None:
                ready.append([batch])
        return ready

    def withdraw(self, unwanted: Callable[[Delivery], bool]) -> list[Delivery]:
        """Take these rows out of the batches that are not full yet."""
        gone: list[Delivery] = []
        for name, batch in list(self._open.items()):
            leaving = [row for row in batch.rows.values() if unwanted(row)]
            for row in leaving:
                del batch.rows[row.seq]
            gone += leaving
            if not batch.rows:
                self._take(name)
        return gone

    def _add(self, kind: _Kind, row: Delivery) -> Delivery | None:
        batch = self._open.get(kind.name)
        if batch is None:
            timer = self._loop.call_later(kind.wait, self._end_wait, kind.name)
            batch = self._open[kind.name] = _Open({}, timer)
        batch.rows[row.seq] = row
        return together(self._take(kind.name)) if len(batch.rows) >= kind.size else None

    def _end_wait(self, name: str) -> None:
        self.over(together(self._take(name)))

    def _take(self, name: str) -> list[Delivery]:
        batch = self._open.pop(name)
        batch.timer.cancel()
        return list(batch.rows.values())
