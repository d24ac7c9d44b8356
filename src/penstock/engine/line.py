"""The way of a message through a worker: claimer, workshop, settler."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from penstock.engine.claimer import Claimer
from penstock.engine.duty import Duty
from penstock.engine.recall import Recall
from penstock.engine.rotation import Rotation
from penstock.engine.scout import Scout
from penstock.engine.settler import Settler
from penstock.engine.supervisor import Supervisor
from penstock.engine.workshop import Workshop

_LAST_WRITE = 5.0
"""Seconds that the last ends may take to be written when the worker stops; after that they are left to be rescued."""


class Line:
    def __init__(self, duty: Duty) -> None:
        store, self._ties = duty.store, duty.ties
        self._settler = Settler(store.queue, duty.incarnation, duty.ties)
        self._workshop = Workshop(duty, self._settler)
        self._runner, table = self._workshop.runner, self._workshop.table
        self._rotation = Rotation(duty.queues)
        work = (self._rotation, self._runner, self._settler)
        self._claimer = Claimer(store.queue, store.clock, duty.program.routes, work, duty.ties)
        self._recall = Recall(duty, self._runner, table, self._workshop.stands)
        self._over = False
        scouts = [] if duty.options.queues else [Scout(store.leases, duty.incarnation, self._adopt, duty.ties)]
        self._supervisor = Supervisor([self._settler, self._workshop.reporter, self._recall, self._claimer, *scouts])

    @property
    def released(self) -> int:
        return self._runner.released

    def start(self) -> None:
        self._supervisor.start()

    def ring(self) -> None:
        """The store has news."""
        self._claimer.ring()
        self._recall.ring()

    def _adopt(self, queues: Sequence[str]) -> None:
        if self._rotation.adopt(queues):
            self._claimer.ring()

    def faint(self, faint: bool) -> None:
        """The worker cannot beat: give back what it holds while it is still its own, and take nothing."""
        self._claimer.hold_back(faint)
        if faint:
            self._runner.withdraw(lambda _: True)
            self._workshop.table.interrupt_all("shutdown")

    def lose(self) -> None:
        """All it holds is another's: nothing begins, handlers are stopped."""
        self._claimer.hold_back(True)
        self._runner.close()
        self._settler.drop()
        self._workshop.table.interrupt_all("lost")

    async def stop(self, patience: float, hurry: asyncio.Event) -> None:
        self._over = True
        self._runner.close()
        await self._claimer.stop()
        await self._workshop.close(patience, hurry)
        try:
            async with asyncio.timeout(_LAST_WRITE):
                await self._settler.flush()
        except TimeoutError as error:
            self._ties.trouble("settler", error)
        await self._supervisor.stop()

    async def abort(self) -> None:
        """What it has not written is dropped: the fence would refuse it."""
        self._over = True
        self.lose()
        await self._claimer.stop()
        await self._workshop.give_up()
        await self._supervisor.stop()

    async def idle(self) -> None:
        """Returns when nothing is held, everything is settled, and a claim made after that brought nothing."""
        while not self._over:
            await self._runner.idle()
            await self._settler.flush()
            if await self._nothing_left():
                return

    async def _nothing_left(self) -> bool:
        return self._over or not (await self._claimer.look() or self._runner.held or self._settler.unsettled)
