"""Finds workers that died, and frees what they held.

- Gone for certain (its lock file is free, its parent reaped it): rescued at once.
- Else by its beat: unchanged for its own lease on *this* process's monotonic clock since this process first saw it. Clocks of machines
  are never compared, and a beat is a number, not a time.
- A rescuer that did not look for half a lease (it was stopped, its loop was blocked) has seen nothing meanwhile: it counts anew.
- So does one whose own beats were not written for half a lease: the store stands still (a disk that stalls, a lock that is kept), and
  nobody can beat. Else whoever writes first afterwards would declare all others dead.
- Rescue is a compare-and-set on the beat: a worker that beats in the last instant lives, and of two rescuers one does it.
- A rescue that fails (another rescuer was stopped in the middle of it, and keeps its locks) does not hold up those of others.
- Crash of the rescuer: any other worker's does the same.
"""

from __future__ import annotations

from collections.abc import Callable

from penstock.engine.beat import Beat, Vitals
from penstock.engine.service import Service
from penstock.engine.ties import Ties
from penstock.errors import StoreError
from penstock.model.clock import SECOND
from penstock.model.events import WorkerRescued
from penstock.ports.leases import Leases, Seen

REST = 0.25


class Rescuer(Service):
    def __init__(self, leases: Leases, incarnation: int, beat: Beat, vitals: Vitals, ties: Ties) -> None:
        super().__init__("rescuer", ties)
        self.rescued: Callable[[], None] = lambda: None
        """Called when messages were freed."""
        self._leases = leases
        self._incarnation = incarnation
        self._beat = beat
        self._vitals = vitals
        self._seen: dict[int, tuple[int, float]] = {}
        self._looked = -vitals.lease

    async def tick(self) -> float:
        others = await self._leases.others(self._incarnation)
        now = self._vitals.monotonic()
        self._remember(others, now)
        dead = [each for each in others if each.gone or now - self._seen[each.incarnation][1] >= each.lease / SECOND]
        await self._rescue_all(dead)
        return REST

    def _remember(self, others: list[Seen], now: float) -> None:
        known = self._seen if now - min(self._looked, self._beat.written) <= self._vitals.lease / 2 else {}
        self._looked = now
        self._seen = {}
        for other in others:
            beat, since = known.get(other.incarnation, (None, now))
            self._seen[other.incarnation] = (other.beat, since if beat == other.beat else now)

    async def _rescue_all(self, dead: list[Seen]) -> None:
        """One that cannot be rescued now is tried again at the next tick, and keeps nobody from the others, nor from being looked at."""
        for other in dead:
            try:
                await self._rescue(other)
            except StoreError as error:
                self.ties.trouble(self.name, error)

    async def _rescue(self, other: Seen) -> None:
        rescued = await self._leases.rescue(other.incarnation, other.beat)
        self._seen.pop(other.incarnation, None)
        if rescued is not None:
            self.ties.emit(WorkerRescued(rescued.incarnation, rescued.released, rescued.dead))
            self.rescued()
