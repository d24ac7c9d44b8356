"""Slots: starts what was claimed, first come first served, as many runs at a time as the worker may have.

One task a run. On Python 3.12 and later the task starts at once (eager), so a handler that does not wait never meets the event
loop's queue; filling is not re-entrant, so runs that end while they are started do not nest. Each task gets the context that the
worker was started in (the copy that a task makes anyway): what a handler sets in it is not seen by the next one.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import Context, copy_context
from typing import Any, TypeAlias

from penstock.engine.delivery import RELEASED, Courier
from penstock.engine.running import Running
from penstock.engine.stages.kit import Kit
from penstock.model.delivery import Delivery

Run: TypeAlias = Sequence[Delivery]
Work: TypeAlias = Coroutine[Any, Any, None]

if sys.version_info >= (3, 12):

    def start_task(loop: asyncio.AbstractEventLoop, work: Work, context: Context) -> asyncio.Task[None]:
        return asyncio.Task(work, loop=loop, context=context, eager_start=True)
else:

    def start_task(loop: asyncio.AbstractEventLoop, work: Work, context: Context) -> asyncio.Task[None]:
        return loop.create_task(work, context=context)


class Runner:
    def __init__(self, courier: Courier, kit: Kit, slots: int, ahead: int) -> None:
        """`slots` runs at a time; `ahead` messages may wait here for a slot."""
        self.hungry: Callable[[], None] = lambda: None
        """Called when a run ended and at least half of what may wait here could be claimed."""
        self.released = 0
        self._courier = courier
        self._abandoned = False
        self._context = copy_context()
        self._table = kit.table
        self._settler = kit.settler
        self._slots = slots
        self._limit = slots + ahead
        self._appetite = max(1, ahead // 2)
        self._loop = asyncio.get_running_loop()
        self._backlog: deque[Run] = deque()
        self._waiting = 0
        self._busy = 0
        self._filling = False
        self._idle: asyncio.Future[None] | None = None
        courier.free = self._free

    @property
    def held(self) -> int:
        """Runs under way and messages that wait for a slot."""
        return self._busy + self._waiting

    @property
    def waiting(self) -> int:
        return self._waiting

    @property
    def room(self) -> int:
        """How much is worth claiming; 0 until it is worth the trip to the store."""
        room = self._limit - self._busy - self._waiting
        return room if room >= self._appetite or not self._waiting else 0

    def offer(self, runs: Iterable[Run]) -> None:
        for run in runs:
            self._backlog.append(run)
            self._waiting += len(run)
        if self._table.closed:
            self.withdraw(lambda _: True)
        self._fill()

    def withdraw(self, unwanted: Callable[[Delivery], bool]) -> None:
        """Release every run that has not started and has one of these in it."""
        kept: deque[Run] = deque()
        for run in self._backlog:
            if any(unwanted(delivery) for delivery in run):
                self._release(run)
                self._waiting -= len(run)
            else:
                kept.append(run)
        self._backlog = kept
        self._tell_idle()

    def close(self) -> None:
        """Nothing begins any more."""
        self._table.closed = True
        self.withdraw(lambda _: True)

    def abandon(self) -> None:
        """Stop waiting for what runs. Its tasks go on; what they come to is dropped."""
        self._abandoned = True
        self._release(self._table.abandon_all())
        self._tell_idle()

    async def idle(self) -> None:
        """Returns when nothing runs or waits."""
        while self.held and not self._abandoned:
            if self._idle is None:
                self._idle = self._loop.create_future()
            await asyncio.shield(self._idle)

    def _fill(self) -> None:
        if self._filling:
            return
        self._filling = True
        try:
            while self._backlog and self._busy < self._slots:
                self._start(self._backlog.popleft())
        finally:
            self._filling = False

    def _start(self, run: Run) -> None:
        self._waiting -= len(run)
        self._busy += 1
        running = Running(run, run[0])
        running.task = start_task(self._loop, self._courier.carry(running), self._context.copy())

    def _free(self) -> None:
        self._busy -= 1
        if self._backlog:
            self._fill()
        elif self._idle is not None:
            self._tell_idle()
        if self._limit - self._busy - self._waiting >= self._appetite:
            self.hungry()

    def _tell_idle(self) -> None:
        if self._idle is not None and (self._abandoned or not self.held):
            self._idle.set_result(None)
            self._idle = None

    def _release(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self._settler.add(delivery, RELEASED)
            self.released += 1
