"""`ports.leases.Leases`: beats keep the clock, and who keeps house sets it."""

from __future__ import annotations

from collections.abc import Callable

from penstock.model.statement import Program
from penstock.ports.leases import MAINTENANCE
from penstock.stores.sql import leases
from penstock.stores.sql.operations import Run
from penstock.stores.sql.registry import SqlLeases
from penstock.stores.sql.roads import Reading, Writing
from penstock.stores.sqlite.clock import StoreClock
from penstock.stores.sqlite.files import Folder
from penstock.stores.sqlite.put import put


class SqliteLeases(SqlLeases):
    def __init__(self, writer: Writing, reader: Reading, clock: StoreClock, folder: Folder, remind: Callable[[], None]) -> None:
        super().__init__((writer, reader), put, folder)
        self._clock = clock
        self._remind = remind

    async def lead(self, role: str, incarnation: int, lease: int) -> bool:
        def program(now: int) -> Program[bool]:
            won = yield from leases.lead(role, incarnation, lease, now)
            if won and role == MAINTENANCE:
                self._remind()
                yield from self._clock.adjust()
            return won

        return await self._write(program, f"lead {role}")  # type: ignore[no-any-return]

    def _beat(self, make: Callable[[int], Program[bool]]) -> bool:
        def program(now: int) -> Program[bool]:
            yield from self._clock.anchor()
            return (yield from make(now))

        return self._writer.submit_blocking(Run(program, "beat", durable=False))  # type: ignore[no-any-return]
