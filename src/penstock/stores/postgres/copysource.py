"""Reading a whole schema, as a copy does: one transaction of repeatable reads."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Any

from penstock.errors import StoreUnavailable
from penstock.ports.copying import Sight, Table, Values
from penstock.stores.postgres import contents
from penstock.stores.postgres.address import Address
from penstock.stores.postgres.failures import translated
from penstock.stores.postgres.library import in_schema
from penstock.stores.postgres.opening import open_schema
from penstock.stores.postgres.pool import ERRORS, check, connect
from penstock.stores.postgres.registry import Lives

_AHEAD = 1_000
"""Rows that are fetched at once."""


class PostgresSource:
    """Implements `ports.copying.Source`."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._found: Any = None
        self._store_id = ""

    @property
    def url(self) -> str:
        return self._address.masked

    async def open(self) -> str:
        self._found = await connect(self._address, pooled=True)
        check(self._found, self._address)
        self._store_id = (await open_schema(self._found, self._address, migrating=False)).store_id
        return self._store_id

    async def close(self) -> None:
        connection, self._found = self._found, None
        if connection is not None:
            with suppress(*ERRORS):
                await connection.close(timeout=1.0)

    async def living(self) -> Sequence[str]:
        """Workers of other machines are in the registry until somebody has waited for their lease."""
        lives = Lives.here(self._store_id)
        found = await self._ask("select incarnation, name, pid, host from penstock.worker order by started")
        return [f"{name} (pid {pid} on {host})" for incarnation, name, pid, host in found if not lives.died(incarnation)]

    async def look(self) -> Sight:
        connection = self._opened()
        try:
            if connection.is_in_transaction():
                await connection.execute("rollback")
            await connection.execute("begin isolation level repeatable read read only")
            counted = await contents.count(connection, self._address.schema)
        except ERRORS as error:
            raise translated(error, f"look into {self.url}") from error
        marks = {name: (await self._ask(f"select pg_sequence_last_value('{it}')"))[0][0] or 0 for name, it in contents.SEQUENCES.items()}
        topics = {str(number): name for number, name in await self._ask("select number, name from penstock.topic")}
        return Sight(counted, marks, topics)

    async def rows(self, table: Table, after: Sequence[int | str] | None) -> AsyncGenerator[Values, None]:
        sql = in_schema(contents.read(table, after), self._address.schema)
        try:
            async for row in self._opened().cursor(sql, *(after or ()), prefetch=_AHEAD):
                yield tuple(row)
        except ERRORS as error:
            raise translated(error, f"read {table.label} of {self.url}") from error

    async def _ask(self, sql: str) -> Any:
        try:
            return await self._opened().fetch(in_schema(sql, self._address.schema))
        except ERRORS as error:
            raise translated(error, f"look into {self.url}") from error

    def _opened(self) -> Any:
        if self._found is None:
            raise StoreUnavailable(f"{self.url} is not open")
        return self._found
