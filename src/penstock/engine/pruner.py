"""The leader's housekeeping: ends what expired, forgets what is old. In small slices, so that nobody waits for it."""

from __future__ import annotations

import asyncio

from penstock.engine.leader import Leader
from penstock.engine.service import Service
from penstock.engine.ties import Ties
from penstock.model.clock import SECOND
from penstock.ports.log import Log
from penstock.ports.queue import Queue

SLICE = 1_000
AGE = 24 * 3600 * SECOND
KEEP = 1_000_000
_REST = 1.0
_PRUNE_REST = 5.0
_SOON = 0.02


class Pruner(Service):
    def __init__(self, store: tuple[Queue, Log], leader: Leader, ties: Ties) -> None:
        super().__init__("pruner", ties)
        self._queue, self._log = store
        self._leader = leader
        self._time = asyncio.get_running_loop().time
        self._prune_at = 0.0
        leader.when_elected(self.wake)

    async def tick(self) -> float:
        if not self._leader.leading:
            return _REST
        expired = await self._queue.expire(SLICE)
        pruned = await self._prune()
        return _SOON if expired >= SLICE or pruned else _REST

    async def _prune(self) -> int:
        """Slices in a row while there is something old, else one now and then."""
        now = self._time()
        if now < self._prune_at:
            return 0
        pruned = await self._queue.prune(SLICE, age=AGE, keep=KEEP) + await self._log.trim(SLICE)
        self._prune_at = now if pruned else now + _PRUNE_REST
        return pruned
