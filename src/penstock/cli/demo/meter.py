"""The numbers on the screen: from the ledgers as they grow, and from the store."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence

from msgspec import Struct

from penstock.cli.demo.killer import Kill
from penstock.cli.demo.ledger import Accepted, Acknowledged, ChangeAcknowledged, Entry, OrderAcknowledged, Reading, Removed, ReportAsked
from penstock.cli.demo.plan import Plan
from penstock.model.job import Status
from penstock.ports.store import Store

WINDOW = 3.0
"""Seconds over which "a second" is an average."""
SEEN: Mapping[type[Entry], str] = {
    Acknowledged: "sign-ups acknowledged",
    Accepted: "e-mails delivered",
    ChangeAcknowledged: "accounts changed",
    OrderAcknowledged: "orders acknowledged",
    Removed: "old files removed",
}
"""What is counted in the ledgers."""
HANDLED: Mapping[str, str] = {"demo.inventory": "stock moves", "demo.shipping": "shipments"}
"""Subscriptions, and what one event handled is."""


class Total(Struct, frozen=True):
    name: str
    count: int
    a_second: float


class Making(Struct, frozen=True):
    """The report that was asked for last."""

    status: Status
    fraction: float
    note: str


class Numbers(Struct, frozen=True):
    elapsed: float
    left: float | None
    """Seconds; None: no end was set."""
    totals: Sequence[Total]
    waiting: int
    """Events that are in no queue yet included."""
    running: int
    retrying: int
    dead: int
    workers: Sequence[tuple[int, int]]
    """Process, and jobs in its hands."""
    away: int
    """Workers that are being started."""
    kills: Sequence[Kill]
    report: Making | None = None

    @property
    def settled(self) -> bool:
        """Workers are there, nothing waits or runs, and what killed ones held was seen again."""
        left = self.waiting or self.running or self.retrying
        return bool(self.workers) and not left and all(kill.back_after is not None for kill in self.kills)


class Meter:
    def __init__(self, plan: Plan, store: Store, kills: Sequence[Kill]) -> None:
        self._store = store
        self._kills = kills
        self._seconds = plan.seconds
        self._wanted = plan.workers
        self._ledgers = (Reading(plan.visits), Reading(plan.spool), Reading(plan.shelf))
        self._counts = dict.fromkeys((*SEEN.values(), *HANDLED.values()), 0)
        self._report: str | None = None
        """The job of the one that was asked for last."""
        self._start = asyncio.get_running_loop().time()
        self._past: deque[tuple[float, Mapping[str, int]]] = deque()

    @property
    def elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self._start

    async def read(self) -> Numbers:
        elapsed = self.elapsed
        queues = await self._store.inspect.queues()
        unfed = sum(each.unfed for each in await self._store.inspect.subscriptions())
        workers = await self._store.inspect.workers()
        killed = {kill.pid for kill in self._kills}
        alive = [(worker.pid, worker.running) for worker in workers if worker.pid not in killed]
        self._read_ledgers()
        self._counts |= {HANDLED[queue.name]: queue.done for queue in queues if queue.name in HANDLED}
        return Numbers(
            elapsed=elapsed,
            left=None if self._seconds is None else max(0.0, self._seconds - elapsed),
            totals=self._totals(elapsed),
            waiting=unfed + sum(queue.waiting for queue in queues),
            running=sum(queue.running for queue in queues),
            retrying=sum(queue.delayed for queue in queues),
            dead=sum(queue.dead for queue in queues),
            workers=alive,
            away=max(0, self._wanted - len(alive)),
            kills=self._kills,
            report=await self._look_at_report(),
        )

    def _read_ledgers(self) -> None:
        entries = [entry for ledger in self._ledgers for entry in ledger.fresh()]
        seen = Counter(type(entry) for entry in entries)
        for kind, name in SEEN.items():
            self._counts[name] += seen[kind]
        self._report = next((entry.job for entry in reversed(entries) if isinstance(entry, ReportAsked)), self._report)

    async def _look_at_report(self) -> Making | None:
        view = None if self._report is None else await self._store.inspect.job(self._report)
        if view is None:
            return None
        told = view.progress
        return Making(view.status, told.fraction if told else 0.0, told.note if told else "")

    def _totals(self, now: float) -> list[Total]:
        self._past.append((now, dict(self._counts)))
        while self._past[0][0] < now - WINDOW:
            self._past.popleft()
        then, before = self._past[0]
        span = max(now - then, 0.001)
        return [Total(name, count, (count - before[name]) / span) for name, count in self._counts.items()]
