"""`ports.schedules.Schedules`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from penstock.model.clock import Clock
from penstock.model.schedule import Due, Firing, Identity, Schedule, ScheduleView
from penstock.model.statement import Program
from penstock.ports.schedules import Look
from penstock.stores.sql import schedules as programs
from penstock.stores.sql.dialect import Dialect
from penstock.stores.sql.operations import Run
from penstock.stores.sql.roads import Reading, Writing


class SqlSchedules:
    def __init__(self, writer: Writing, reader: Reading, clock: Clock, dialect: Dialect) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._dialect = dialect

    async def declare(self, incarnation: int, app: str, schedules: Sequence[Schedule]) -> None:
        await self._write(lambda now: programs.declare(incarnation, app, schedules, now, self._dialect), "declare schedules")

    async def look(self, without: Collection[Identity] = ()) -> Look:
        return await self._reader.drive(programs.look(without))

    async def review(self) -> None:
        await self._write(lambda now: programs.review(now, self._dialect), "review the schedules")

    async def due(self, limit: int, without: Collection[Identity] = ()) -> Sequence[Due]:
        return await self._reader.drive(programs.due(self._clock.now(), limit, without))

    async def fire(self, firings: Sequence[Firing]) -> list[str]:
        work = Run(
            lambda now: programs.fire(firings, now, self._dialect.put), "fire schedules", rings=True, point="schedule", weight=len(firings)
        )
        return await self._writer.submit(work)  # type: ignore[no-any-return]

    async def views(self) -> Sequence[ScheduleView]:
        return await self._reader.drive(programs.views())

    async def run_now(self, app: str, name: str, job_id: str) -> None:
        await self._write(lambda now: programs.run_now(app, name, job_id, now, self._dialect.put), f"run {name} now", rings=True)

    async def pause(self, app: str, name: str, by: str) -> None:
        await self._write(lambda now: programs.pause(app, name, by, now), f"pause {name}")

    async def resume(self, app: str, name: str) -> None:
        await self._write(lambda now: programs.resume(app, name, now), f"resume {name}")

    async def _write(self, make: Callable[[int], Program[Any]], doing: str, *, rings: bool = False) -> None:
        await self._writer.submit(Run(make, doing, rings=rings))
