"""Looks after what was claimed: takes back what somebody outside wants (jobs that were cancelled, queues that were paused or
limited), and has jobs told of that run too long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from penstock.engine.duty import Duty
from penstock.engine.lookout import Lookout
from penstock.engine.runner import Runner
from penstock.engine.running import Running
from penstock.engine.service import Service
from penstock.engine.table import Table

_GRAIN = 0.1
_IDLE = 0.5
_POLL = 1.0


class Recall(Service):
    """Asks the store when it rang, at most every 0.1 s, and every second besides; never while nothing is held."""

    def __init__(self, duty: Duty, runner: Runner, table: Table, stands: Callable[[Running], str]) -> None:
        """`stands` tells where a handler is."""
        super().__init__("recall", duty.ties)
        self._queue, self._settings = duty.store.queue, duty.store.settings
        self._owner = duty.incarnation
        self._runner = runner
        self._table = table
        self._lookout = Lookout(table, stands, duty)
        self._time = asyncio.get_running_loop().time
        self._rung = False
        self._due = 0.0

    def ring(self) -> None:
        self._rung = True

    async def tick(self) -> float:
        if not self._runner.held:
            return _IDLE
        self._lookout.look(self._time())
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
        """What has started ends; the rest goes back, also what was taken ahead before its queue had limits."""
        if self._runner.waiting:
            rules = await self._settings.rules()
            paused, limited = rules.paused, rules.limited
            if paused or limited:
                self._runner.withdraw(lambda each: each.queue in paused or (each.queue in limited and not each.admitted))
