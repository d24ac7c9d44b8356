"""Slots: starts what was claimed, first come first served, as many runs at a time as the worker may have.

One task a run. On Python 3.12 and later the task starts at once (eager), so a handler that does not wait never meets the event
loop's queue; filling is not re-entrant, so runs that end while they are started do not nest. Each task gets the context that the
worker was started in (the copy that a task makes anyway): what a handler sets in it is not seen by the next one.

A batch is a run of one delivery with many rows. Until it is full, or its wait is over, it is in `Gather`, and counts as one that waits.

Queues with limits give only what starts at once, so that they would get nothing while other work waits here for every slot. Then
the claimer asks for a slot to be saved: after one more of what waits here the next slot that frees stays free until its claim came.

How much waits here is a matter of how long the jobs are. Where claims come one upon the other, twice as much is claimed, up to what is
worth a trip; where they come seldom, it is little again, since who waits here waits for this worker.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextvars import Context, copy_context
from typing import Any, TypeAlias

from penstock.engine.carriers import Carriers
from penstock.engine.delivery import RELEASED
from penstock.engine.gather import together
from penstock.engine.running import Running
from penstock.engine.stages.kit import Kit
from penstock.model.delivery import Delivery

MOST_AHEAD = 1_024
OFTEN, SELDOM = 0.02, 1.0
"""Seconds between two claims."""

Run: TypeAlias = Sequence[Delivery]
Work: TypeAlias = Coroutine[Any, Any, None]

if sys.version_info >= (3, 12):

    def start_task(loop: asyncio.AbstractEventLoop, work: Work, context: Context) -> asyncio.Task[None]:
        return asyncio.Task(work, loop=loop, context=context, eager_start=True)
else:

    def start_task(loop: asyncio.AbstractEventLoop, work: Work, context: Context) -> asyncio.Task[None]:
        return loop.create_task(work, context=context)


class Runner:
    def __init__(self, who: Carriers, kit: Kit, slots: int, ahead: int) -> None:
        """`slots` runs at a time; `ahead` messages may wait here for a slot, and more if they are short."""
        self.hungry: Callable[[], None] = lambda: None
        """Called when a run ended and at least half of what may wait here could be claimed."""
        self.released = 0
        self._courier, self._batches, self._gather = who
        self._abandoned = False
        self._context = copy_context()
        self._table = kit.table
        self._settler = kit.settler
        self._slots = slots
        self._ahead = self._little = ahead
        self._offered = 0.0
        self._loop = asyncio.get_running_loop()
        self._backlog: deque[Run] = deque()
        self._waiting = 0
        self._busy = 0
        self._saving = 0
        """1: the next slot that frees is saved; 2: the one after it."""
        self._weigh = weight if self._gather.sizes else len
        self._filling = False
        self._idle: asyncio.Future[None] | None = None
        self._courier.free = self._batches.free = self._free
        self._gather.over = self._offer_late

    @property
    def held(self) -> int:
        """Runs under way and messages that wait for a slot."""
        return self._busy + self._waiting + len(self._gather)

    @property
    def waiting(self) -> int:
        return self._waiting + len(self._gather)

    @property
    def free(self) -> int:
        """Slots that nothing here needs."""
        return max(0, self._slots - self.held)

    @property
    def saved(self) -> int:
        """Slots that are free for what may only be claimed when it starts at once."""
        if not self._saving or (self._saving == 2 and self._backlog):
            return 0
        return max(0, self._slots - self._busy)

    @property
    def batches(self) -> Mapping[str, int]:
        """Rows that a batch may have, by task."""
        return self._gather.sizes

    @property
    def room(self) -> int:
        """How much is worth claiming; 0 until it is worth the trip to the store."""
        room = self._slots + self._ahead - self.held
        return room if 2 * room >= self._ahead or not self._waiting else 0

    def offer(self, runs: Sequence[Run], *, first: bool = False) -> None:
        """`first`: before what waits, since a slot was saved for them."""
        ready = self._gather.sift(runs)
        self._waiting += sum(map(self._weigh, ready))
        if first:
            self._saving = 0
            self._backlog.extendleft(reversed(ready))
        else:
            self._backlog.extend(ready)
        if self._table.closed:
            self.withdraw(lambda _: True)
        self._fill()

    def adapt(self, *, more: bool) -> None:
        """Before a claim's runs are offered: `more` was left in the store."""
        now = self._loop.time()
        since = now - self._offered
        if since > SELDOM:
            self._ahead = self._little
        elif more and since < OFTEN:
            self._ahead = min(MOST_AHEAD, 2 * self._ahead)
        self._offered = now

    def save_slot(self) -> None:
        self._saving = self._saving or 2

    def use_slot(self) -> None:
        """None is saved any more: what waits here may have it."""
        if self._saving:
            self._saving = 0
            self._fill()

    def withdraw(self, unwanted: Callable[[Delivery], bool]) -> None:
        """Release every run that has not started and has one of these in it; of a batch only these."""
        kept: deque[Run] = deque()
        for run in self._backlog:
            rest = without(run, unwanted)
            self._waiting -= weight(run) - weight(rest)
            self._release(set_apart(run, rest))
            if rest:
                kept.append(rest)
        self._backlog = kept
        self._release(self._gather.withdraw(unwanted))
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
            while self._backlog and self._busy < self._slots and self._saving != 1:
                self._start(self._backlog.popleft())
        finally:
            self._filling = False

    def _start(self, run: Run) -> None:
        self._waiting -= self._weigh(run)
        self._busy += 1
        if self._saving:
            self._saving = 1
        running = Running(run, run[0])
        work = self._batches.carry(running) if run[0].rows else self._courier.carry(running)
        running.task = start_task(self._loop, work, self._context.copy())

    def _free(self) -> None:
        self._busy -= 1
        if self._backlog:
            self._fill()
        elif self._idle is not None:
            self._tell_idle()
        if 2 * (self._slots + self._ahead - self._busy - self._waiting) >= self._ahead or (self._saving and self.saved):
            self.hungry()

    def _offer_late(self, batch: Delivery) -> None:
        if batch.admitted:  # of a limited queue: nobody else may have what it holds of the limit
            self._backlog.appendleft([batch])
        else:
            self._backlog.append([batch])
        self._waiting += len(batch.rows)
        self._fill()

    def _tell_idle(self) -> None:
        if self._idle is not None and (self._abandoned or not self.held):
            self._idle.set_result(None)
            self._idle = None

    def _release(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            rows = delivery.rows or (delivery,)
            self._settler.add_all(rows, RELEASED)
            self.released += len(rows)


def weight(run: Run) -> int:
    """Messages."""
    return len(run) if not run or not run[0].rows else len(run[0].rows)


def without(run: Run, unwanted: Callable[[Delivery], bool]) -> Run:
    """What stays of a run that has not started. Of a key nothing: the rest comes after it."""
    if not run[0].rows:
        return () if any(unwanted(delivery) for delivery in run) else run
    rows = [row for row in run[0].rows if not unwanted(row)]
    if len(rows) == len(run[0].rows):
        return run
    return [together(rows)] if rows else ()


def set_apart(run: Run, rest: Run) -> Iterable[Delivery]:
    """What is in the run and not in what stays of it."""
    kept = {row.seq for delivery in rest for row in delivery.rows or (delivery,)}
    return [row for delivery in run for row in delivery.rows or (delivery,) if row.seq not in kept]
