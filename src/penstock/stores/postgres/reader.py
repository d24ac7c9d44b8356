"""Looking, each time on a connection of the pool. What others commit between two statements is seen by the second."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from penstock.model.statement import Program, Rows, Statement
from penstock.stores.postgres.access import Access, Told, undo

T = TypeVar("T")

_LOOK = "look into the store"


class PostgresReader:
    """Implements `Reading`."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def rows(self, name: str, params: Mapping[str, Any]) -> Rows:
        async with self._looking() as connection:
            ((sql, values),) = self._access.library.calls(Statement(name, params))
            return await connection.fetch(sql, *values)  # type: ignore[no-any-return]

    async def drive(self, program: Program[T]) -> T:
        """Run a program that only reads."""
        async with self._looking() as connection:
            return await self._access.drive(connection, program)

    @asynccontextmanager
    async def _looking(self) -> AsyncGenerator[Any, None]:
        """Behind a pooler a statement is prepared and run in one transaction, or else by two server processes."""
        pool = self._access.pool
        async with pool.lend() as connection, Told(_LOOK, connection):
            if not pool.pooled:
                yield connection
                return
            await connection.execute("begin read only")
            try:
                yield connection
            finally:
                await undo(connection)
