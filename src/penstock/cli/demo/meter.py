"""The numbers on the screen: from the ledgers as they grow, and from the store."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from msgspec import Struct

from penstock.cli.demo.killer import Kill
from penstock.cli.demo.ledger import Accepted, Acknowledged, Reading
from penstock.cli.demo.plan import Plan
from penstock.ports.store import Store

WINDOW = 3.0
"""Seconds over which "a second" is an average."""


class Numbers(Struct, frozen=True):
    elapsed: float
    left: float | None
    """Seconds; None: no end was set."""
    acknowledged: int
    delivered: int
    sign_ups_a_second: float
    e_mails_a_second: float
    waiting: int
    running: int
    retrying: int
    dead: int
    workers: Sequence[tuple[int, int]]
    """Process, and jobs in its hands."""
    away: int
    """Workers that are being started."""
    kills: Sequence[Kill]

    @property
    def settled(self) -> bool:
        """Nothing waits or runs, and what killed workers held was seen again."""
        return not (self.waiting or self.running or self.retrying) and all(kill.back_after is not None for kill in self.kills)


class Meter:
    def __init__(self, plan: Plan, store: Store, kills: Sequence[Kill]) -> None:
        self._store = store
        self._kills = kills
        self._seconds = plan.seconds
        self._wanted = plan.workers
        self._visits = Reading(plan.visits)
        self._spool = Reading(plan.spool)
        self._acknowledged = 0
        self._delivered = 0
        self._start = asyncio.get_running_loop().time()
        self._past: deque[tuple[float, int, int]] = deque()

    @property
    def elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self._start

    async def read(self) -> Numbers:
        elapsed = self.elapsed
        self._acknowledged += sum(isinstance(entry, Acknowledged) for entry in self._visits.fresh())
        self._delivered += sum(isinstance(entry, Accepted) for entry in self._spool.fresh())
        queues = await self._store.inspect.queues()
        workers = await self._store.inspect.workers()
        killed = {kill.pid for kill in self._kills}
        alive = [(worker.pid, worker.running) for worker in workers if worker.pid not in killed]
        sign_ups, e_mails = self._rates(elapsed)
        return Numbers(
            elapsed=elapsed,
            left=None if self._seconds is None else max(0.0, self._seconds - elapsed),
            acknowledged=self._acknowledged,
            delivered=self._delivered,
            sign_ups_a_second=sign_ups,
            e_mails_a_second=e_mails,
            waiting=sum(queue.waiting for queue in queues),
            running=sum(queue.running for queue in queues),
            retrying=sum(queue.delayed for queue in queues),
            dead=sum(queue.dead for queue in queues),
            workers=alive,
            away=max(0, self._wanted - len(alive)),
            kills=self._kills,
        )

    def _rates(self, now: float) -> tuple[float, float]:
        self._past.append((now, self._acknowledged, self._delivered))
        while self._past[0][0] < now - WINDOW:
            self._past.popleft()
        then, acknowledged, delivered = self._past[0]
        span = max(now - then, 0.001)
        return (self._acknowledged - acknowledged) / span, (self._delivered - delivered) / span
