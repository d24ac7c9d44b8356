"""Puts the jobs of schedules when their slots come. It runs in every worker and acts in one: whoever leads.

- A firing is one transaction: the schedule moves from the slot that was seen to its next one, and the slot's job is put. A crash
  before the commit fires nothing, and the next leader finds the slot; after it the slot is past. Two leaders for a moment: the move
  is a compare-and-set, one of them wins it. And the id of a slot's job is made of the slot.
- Which slots fire is `model.schedule.decide`, a pure function of what was seen and of the store's time.
- It sleeps until the next slot, but looks once a second: the store's clock may be set, workers may come and go.
- A schedule that cannot be understood here (a zone that this machine does not know) is told as trouble, once, and left out from then
  on: it takes no place among the others and keeps nobody awake. Another definition of it is another one, and who leads again tries again.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock.engine.leader import Leader
from penstock.engine.service import Service
from penstock.engine.ties import Ties
from penstock.model.clock import SECOND, Clock
from penstock.model.schedule import Due, Firing, Identity, decide
from penstock.ports.schedules import Look, Schedules

REST = 1.0
PAGE = 200
"""Schedules that fire in one transaction."""
_AT_ONCE = 0.0
ENOUGH = 1_000
"""Jobs in one transaction: it holds the store's write lock. The rest is still due."""


class Scheduler(Service):
    def __init__(self, schedules: Schedules, clock: Clock, leader: Leader, ties: Ties) -> None:
        super().__init__("scheduler", ties)
        self._schedules = schedules
        self._clock = clock
        self._leader = leader
        self._crew: tuple[int, ...] = ()
        self._strange: set[Identity] = set()
        """Not understood here."""
        leader.when_elected(self.wake)

    async def tick(self) -> float:
        if not self._leader.leading:
            self._crew = ()
            self._strange.clear()
            return REST
        look = await self._looked()
        left = self._left(look.next)
        if left > 0:
            return min(REST, left)
        return _AT_ONCE if await self._fire_page() else REST

    async def _looked(self) -> Look:
        """After a change of the crew: with the definitions of those who are there now."""
        look = await self._schedules.look(self._strange)
        if look.crew == self._crew or not look.any:
            return look
        await self._schedules.review()
        self._crew = look.crew
        return await self._schedules.look(self._strange)

    def _left(self, instant: int | None) -> float:
        return REST if instant is None else (instant - self._clock.now()) / SECOND

    async def _fire_page(self) -> bool:
        """False: nothing was due."""
        dues = await self._schedules.due(PAGE, self._strange)
        if firings := self._decided(dues):
            await self._schedules.fire(firings)
        return bool(dues)

    def _decided(self, dues: Sequence[Due]) -> list[Firing]:
        now, jobs = self._clock.now(), 0
        firings: list[Firing] = []
        for due in dues:
            if jobs >= ENOUGH:
                break
            try:
                firings.append(decide(due, now))
                jobs += len(firings[-1].messages)
            except ValueError as error:
                self._strange.add(due.identity)
                self.ties.trouble(f"schedule {due.schedule.name} of {due.app}", error)
        return firings
