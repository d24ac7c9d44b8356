"""One incarnation of a worker: from its enrolment to its leaving, or to being declared dead.

- The incarnation is the fence: a random number that this process made, never reused. Whatever is claimed is leased to it.
- It beats before it claims, and beats until its last end is written.
- Declared dead (by a beat or a claim that says so): nothing it holds is its own any more. Its handlers are cancelled, what
  it has not written is dropped, and the worker begins a new incarnation. It never continues under the old one.
- It leaves last: whatever is still held then goes back uncounted. A crash before that is a rescue, which counts a death. Lost, it
  leaves too: it holds nothing any more, but this process still holds its proof of life.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from penstock.engine.beat import Beat, Vitals
from penstock.engine.duty import Duty
from penstock.engine.feeding import feeding
from penstock.engine.line import Line
from penstock.engine.pulse import Pulse
from penstock.engine.upkeep import upkeep


class Incarnation:
    """Made on the loop that it lives on."""

    def __init__(self, duty: Duty, vitals: Vitals) -> None:
        self.lost = False
        self._duty = duty
        self._line = Line(duty)
        self._beat = Beat(partial(duty.store.leases.beat_now, duty.incarnation), vitals, duty.ties)
        self._pulse = Pulse(self._beat, vitals, self._line.faint, duty.ties)
        self._upkeep = upkeep(duty, self._beat, vitals, self._line.ring)
        self._feeding = feeding(duty)
        self._deafen: Callable[[], None] = lambda: None

    @property
    def number(self) -> int:
        return self._duty.incarnation

    @property
    def released(self) -> int:
        return self._line.released

    async def start(self) -> None:
        """Raises StoreError: not enrolled, nothing started."""
        store, program = self._duty.store, self._duty.program
        await store.log.declare(program.subscriptions, program.topics)
        await self._enrol()
        self._beat.start()
        self._pulse.start()
        self._upkeep.start()
        self._line.start()
        self._feeding.start()
        self._deafen = store.listen(self._ring)

    async def _enrol(self) -> None:
        store, duty = self._duty.store, self._duty
        await store.leases.enrol(duty.enrolment())
        try:
            if duty.program.schedules:
                await store.schedules.declare(duty.incarnation, duty.options.app, duty.program.schedules)
        except BaseException:
            await self._leave()
            raise

    async def stop(self, patience: float, hurry: asyncio.Event) -> None:
        """In good order. `hurry`: release now what runs."""
        self._deafen()
        await self._feeding.stop()
        await self._line.stop(patience, hurry)
        await self._upkeep.stop()
        await self._pulse.stop()
        await self._beat.stop()
        await self._leave()

    async def abort(self) -> None:
        """After it was lost. May be called again."""
        self._deafen()
        await self._feeding.stop()
        await self._line.abort()
        await self._upkeep.stop()
        await self._pulse.stop()
        await self._beat.stop()
        await self._leave()

    def lose(self) -> None:
        if not self.lost:
            self.lost = True
            self._line.lose()

    async def idle(self) -> None:
        await self._line.idle()

    def _ring(self) -> None:
        self._feeding.wake()
        self._line.ring()

    async def _leave(self) -> None:
        try:
            await self._duty.store.leases.leave(self._duty.incarnation)
        except Exception as error:
            self._duty.ties.trouble("leave", error)
