"""Schedules without an engine: workers that declare them, and a scheduler that ticks when a test says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from penstock.model.clock import SECOND, from_datetime
from penstock.model.schedule import Due, Missed, Schedule, ScheduleView, Template, Timing, decide
from penstock.ports.store import Store
from penstock.testing.conformance.ground import QUEUE, TASK, Ground
from penstock.testing.conformance.worker import Worker

APP = "conformance"


def every(seconds: int, name: str = "tick", *, missed: Missed = "once", body: bytes = b"{}") -> Schedule:
    return Schedule(name, Timing(every=seconds * SECOND), missed, Template(TASK, QUEUE, body))


class Calendar:
    """`begun`: the store's time at first; slots are told in seconds from it."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.begun = ground.now()

    async def worker(self, *schedules: Schedule, app: str = APP) -> Worker:
        """One of `app`, enrolled and with these schedules."""
        worker = await self.ground.worker(app=app)
        if schedules:
            await worker.store.schedules.declare(worker.incarnation, app, schedules)
        else:
            await worker.store.schedules.review()
        return worker

    async def leave(self, worker: Worker) -> None:
        await worker.leave()
        await self.ground.store.schedules.review()

    async def tick(self, store: Store | None = None) -> list[float]:
        """What fired: the slots, in seconds from the beginning."""
        store = store or self.ground.store
        return self.slots(await self.fire(store, await store.schedules.due(100)))

    async def fire(self, store: Store, dues: Sequence[Due]) -> list[str]:
        """By what was seen before."""
        now = store.clock.now()
        return await store.schedules.fire([decide(due, now) for due in dues])

    async def headers(self, job_id: str) -> bytes | None:
        return (await self.ground.job(job_id)).headers

    def slots(self, ids: Sequence[str]) -> list[float]:
        return [self._slot(job_id) for job_id in ids]

    def _slot(self, job_id: str) -> float:
        """`tick@conformance:20231114T221320Z`, or with a fraction."""
        written = job_id.rpartition(":")[2]
        moment = datetime.strptime(written, "%Y%m%dT%H%M%S.%f%z" if "." in written else "%Y%m%dT%H%M%S%z")
        return (from_datetime(moment) - self.begun) / SECOND

    async def view(self, name: str = "tick", app: str = APP) -> ScheduleView:
        return next(view for view in await self.ground.store.schedules.views() if (view.app, view.schedule.name) == (app, name))

    async def next(self, name: str = "tick", app: str = APP) -> float | None:
        slot = (await self.view(name, app)).next
        return None if slot is None else (slot - self.begun) / SECOND
