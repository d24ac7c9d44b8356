"""`ports.inspect.Settings`."""

from __future__ import annotations

from penstock.model.statement import Program, Statement
from penstock.ports.inspect import QueueRules
from penstock.stores.sql.limits import read_rules
from penstock.stores.sql.operations import Run
from penstock.stores.sql.roads import Reading, Writing


class SqlSettings:
    def __init__(self, writer: Writing, reader: Reading) -> None:
        self._writer = writer
        self._reader = reader

    async def write(self, scope: str, name: str, value: str | None, by: str) -> None:
        work = Run(lambda now: _write(scope, name, value, by, now), f"set {name} of {scope}", rings=True)
        await self._writer.submit(work)

    async def rules(self) -> QueueRules:
        rules = await self._reader.drive(read_rules())
        return QueueRules(rules.paused, rules.limited)


def _write(scope: str, name: str, value: str | None, by: str, now: int) -> Program[None]:
    if value is None:
        yield Statement("drop_setting", {"scope": scope, "name": name})
    else:
        yield Statement("set_setting", {"scope": scope, "name": name, "value": value, "by": by, "at": now})
