"""Takes back what was claimed, when somebody outside wants it: jobs that were cancelled, queues that were paused."""

from __future__ import annotations

import asyncio

from penstock.engine.runner import Runner
from penstock.engine.service import Service
from penstock.engine.table import Table
from penstock.engine.ties import Ties
from penstock.ports.inspect import Settings
from penstock.ports.queue import Queue

_GRAIN = 0.1
_IDLE = 0.5
_POLL = 1.0


class Recall(Service):
    """Asks the store when it rang, at most every 0.1 s, and every second besides; never while nothing is held."""

    def __init__(self, store: tuple[Queue, Settings], owner: int, runner: Runner, table: Table, ties: Ties) -> None:
        super().__init__("recall", ties)
        self._queue, self._settings = store
        self._owner = owner
        self._runner = runner
        self._table = table
        self._time = asyncio.get_running_loop().time
        self._rung = False
        self._due = 0.0

    def ring(self) -> None:
        self._rung = True

    async def tick(self) -> float:
        if not self._runner.held:
            return _IDLE
        if self._rung or self._time() >= self._due:
            self._rung = False
            self._due = self._time() + _POLL
            await self._cancelled()
            await self._paused()
        return _GRAIN

    async def _cancelled(self) -> None:
        seqs = frozenset(await self._queue.cancellations(self._owner))
        self._table.recall(seqs)
        if seqs:
            self._runner.withdraw(lambda delivery: delivery.seq in seqs)

    async def _paused(self) -> None:
        """What has started ends; the rest goes back."""
        if self._runner.waiting:
            paused = await self._settings.paused()
            if paused:
                self._runner.withdraw(lambda delivery: delivery.queue in paused)
