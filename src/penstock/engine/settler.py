"""Writes what deliveries came to, in batches.

- A batch goes to the store at once; while it is written the next one forms. There is no debounce.
- Nothing is lost to an error of the store: the batch is kept and tried again. It may have been written already (its reply was
  lost): the fence makes the second time a no-op.
- The order in which outcomes were added is kept, so those of a key are written in the order of their run.
- Crash before the write: the messages are rescued and run again, each with one death more. After it: nothing is repeated.
- A settlement that cannot be written for its own data (the store's own errors are typed) is found by halving the batch and waits
  behind the others. If they can be written and it still cannot, it becomes a dead letter; if even that fails it is left held, and
  goes back to its queue when the worker leaves.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable

from penstock.engine.service import Service
from penstock.engine.ties import Ties
from penstock.errors import PenstockError, StoreError
from penstock.model.delivery import Delivery, Settlement
from penstock.model.events import Settled
from penstock.model.outcome import Dead, Outcome, Released
from penstock.model.retry import describe
from penstock.ports.queue import Queue

_BATCH = 1_000
_DOOMED = -1
FULL = 10_000
"""Unsettled deliveries at which nothing more is claimed."""


class Settler(Service):
    def __init__(self, queue: Queue, owner: int, ties: Ties) -> None:
        super().__init__("settler", ties)
        self.owner = owner
        self.settled: Callable[[], None] = lambda: None
        """Called after each batch."""
        self._queue = queue
        self._pending: list[Settlement] = []
        self._sending: list[Settlement] = []
        self._limit = _BATCH
        self._dropped = False
        self._added = 0
        self._writes = 0
        self._refused: dict[int, int] = {}
        self._flushes: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def unsettled(self) -> int:
        return len(self._pending) + len(self._sending)

    def add(self, delivery: Delivery, outcome: Outcome) -> None:
        self._pending.append(Settlement(delivery, outcome))
        self._added += 1
        if not self._woken:
            self.wake()

    def add_all(self, rows: Iterable[Delivery], outcome: Outcome) -> None:
        """The same end for each."""
        before = len(self._pending)
        self._pending += [Settlement(row, outcome) for row in rows]
        self._added += len(self._pending) - before
        if not self._woken:
            self.wake()

    def drop(self) -> None:
        """The lease is lost: the fence would refuse all that is not written, and all that comes."""
        self._dropped = True
        self._pending.clear()

    async def flush(self) -> None:
        """Returns when all that was added before is written. Waits as long as the store fails."""
        if self.unsettled:
            written = asyncio.get_running_loop().create_future()
            self._flushes.append((self._added, written))
            await written

    async def stop(self) -> None:
        """What is not written by now will not be: nobody is kept waiting for it."""
        await super().stop()
        self._tell_flushes(self._added)

    async def tick(self) -> float:
        if self._dropped:
            self._pending, self._sending = [], []
            self._tell_flushes(self._added)
        if not self._sending:
            self._sending, self._pending = self._pending[: self._limit], self._pending[self._limit :]
        while self._limit > 1 and self._pending and isinstance(self._pending[0].outcome, Released):
            self._sending.append(self._pending.pop(0))  # the rest of a run goes with what ended it
        if not self._sending:
            return math.inf
        self.ties.signals.reach("settle.begin")
        try:
            lost = await self._queue.settle(self.owner, self._sending)
        except Exception as error:
            if isinstance(error, PenstockError) and type(error) is not StoreError:
                raise  # of the store, not of what is written
            return self._isolate(error)
        self._written(len(lost))
        return 0 if self._pending else math.inf

    def _written(self, lost: int) -> None:
        for settlement in self._sending if self._refused else ():
            self._refused.pop(settlement.delivery.seq, None)
        count, self._sending = len(self._sending), []
        self._writes += 1
        self._limit = min(_BATCH, self._limit * 2)
        self.ties.emit(Settled(count, lost))
        self._tell_flushes(self._added - self.unsettled)
        self.settled()

    def _isolate(self, error: Exception) -> float:
        refused, self._sending = self._sending, []
        if len(refused) > 1:
            self._limit = len(refused) // 2
            self._pending[:0] = refused
            return 0
        self._pending += self._second_thoughts(refused[0], error)
        self._tell_flushes(self._added - self.unsettled)
        raise error

    def _second_thoughts(self, settlement: Settlement, error: Exception) -> list[Settlement]:
        seq = settlement.delivery.seq
        refused_after = self._refused.setdefault(seq, self._writes)
        if refused_after == self._writes:
            return [settlement]
        if refused_after == _DOOMED or isinstance(settlement.outcome, Dead):
            return []
        self._refused[seq] = _DOOMED
        return [Settlement(settlement.delivery, Dead("its end could not be written", describe(error)))]

    def _tell_flushes(self, written: int) -> None:
        waiting = [(goal, future) for goal, future in self._flushes if goal > written]
        for goal, future in self._flushes:
            if goal <= written and not future.done():
                future.set_result(None)
        self._flushes = waiting
