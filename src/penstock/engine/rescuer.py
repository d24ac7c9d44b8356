"""Finds workers that died, and frees what they held.

- Gone for certain (its lock file is free, its parent reaped it): rescued at once.
- Else by its beat: unchanged for its own lease on *this* process's monotonic clock since this process first saw it. Clocks of machines
  are never compared, and a beat is a number, not a time.
- Its silence counts while this rescuer looks: a sixth of the lease from one look to the next, at the most. One that did not look (it was
  stopped, its loop was blocked) has seen nothing meanwhile.
- The second half of the lease counts only while this worker's own beats are written, and it beats faster then, to know: a store that
  stands still (a disk that stalls, a lock that is kept) keeps everybody from beating, and whoever writes first afterwards must not
  declare all others dead. Each has at least that half to beat again.
- Rescue is a compare-and-set on the beat: a worker that beats in the last instant lives, and of two rescuers one does it.
- A rescue that fails (another rescuer was stopped in the middle of it, and keeps its locks) does not hold up those of others.
- Crash of the rescuer: any other worker's does the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from penstock.engine.beat import Beat, Vitals
from penstock.engine.service import Service
from penstock.engine.ties import Ties
from penstock.errors import PublishUnknown, StoreError
from penstock.model.clock import SECOND
from penstock.model.events import WorkerRescued
from penstock.ports.leases import Leases, Seen

REST = 0.25
SUSPICIOUS = 5 / 12
"""Of a lease: whoever lives has beaten by then, and what is left of the first half is time for a beat of our own."""


class Rescuer(Service):
    def __init__(self, leases: Leases, incarnation: int, beat: Beat, vitals: Vitals, ties: Ties) -> None:
        super().__init__("rescuer", ties)
        self.rescued: Callable[[], None] = lambda: None
        """Called when messages were freed."""
        self._leases = leases
        self._incarnation = incarnation
        self._beat = beat
        self._vitals = vitals
        self._silent: dict[int, tuple[int, float]] = {}
        """By incarnation: the beat that was seen, and for how many seconds it has not changed."""
        self._looked = vitals.monotonic()

    async def tick(self) -> float:
        others = await self._leases.others(self._incarnation)
        now = self._vitals.monotonic()
        self._count(others, now)
        silent = [(each, self._silent[each.incarnation][1], each.lease / SECOND) for each in others]
        self._beat.pace = min((lease / 12 for _, seconds, lease in silent if seconds >= SUSPICIOUS * lease), default=math.inf)
        await self._rescue_all([each for each, seconds, lease in silent if each.gone or seconds >= lease])
        return REST

    def _count(self, others: list[Seen], now: float) -> None:
        passed, unproven = now - self._looked, now - self._beat.written
        known, self._silent, self._looked = self._silent, {}, now
        for other in others:
            lease = other.lease / SECOND
            beat, silent = known.get(other.incarnation, (None, 0.0))
            counts = silent < lease / 2 or unproven <= lease / 6
            more = min(passed, lease / 6) if counts else 0.0
            self._silent[other.incarnation] = (other.beat, silent + more if beat == other.beat else 0.0)

    async def _rescue_all(self, dead: list[Seen]) -> None:
        """One that cannot be rescued now is tried again at the next tick, and keeps nobody from the others, nor from being looked at."""
        for other in dead:
            try:
                await self._rescue(other)
            except (StoreError, PublishUnknown) as error:
                self.ties.trouble(self.name, error)

    async def _rescue(self, other: Seen) -> None:
        rescued = await self._leases.rescue(other.incarnation, other.beat)
        self._silent.pop(other.incarnation, None)
        if rescued is not None:
            self.ties.emit(WorkerRescued(rescued.incarnation, rescued.released, rescued.dead))
            self.rescued()
