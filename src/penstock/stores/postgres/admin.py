"""The store from outside, for commands: synchronous, and it creates nothing by looking."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from penstock.errors import StoreError
from penstock.model.log import Holder
from penstock.model.statement import Rows
from penstock.ports.store import Facts, Schema
from penstock.stores.postgres import migrate
from penstock.stores.postgres.address import Address
from penstock.stores.postgres.failures import translated
from penstock.stores.postgres.floor import who_holds
from penstock.stores.postgres.library import in_schema, load
from penstock.stores.postgres.pool import ERRORS, check, connect
from penstock.stores.postgres.registry import Lives
from penstock.stores.sql.executors import drive_async

T = TypeVar("T")


class PostgresAdministration:
    """Implements `ports.store.Administration`."""

    def __init__(self, address: Address) -> None:
        self._address = address

    @property
    def exists(self) -> bool:
        """The database does; whether its schema does, `schema` says."""
        return True

    def facts(self) -> Facts:
        return _now(self._on(self._facts, "look at the server"))

    def schema(self) -> Schema:
        return _now(self._on(self._schema, "read the schema"))

    def migrate(self) -> Schema:
        async def run(connection: Any) -> Schema:
            await migrate.migrate(connection, self._address.schema, strict=self._address.strict, in_use=True)
            return await self._schema(connection)

        return _now(self._on(run, "migrate"))

    def script(self) -> str:
        found = self.schema()
        missing = migrate.missing(found.found, self._address.schema) if found.found < found.needed else ""
        return missing + (in_schema(migrate.STRICT, self._address.schema) if self._address.strict else "")

    def live(self) -> bool:
        self.schema()
        return True

    def held_back(self) -> Holder | None:
        return _now(self._on(self._held_back, "look for open transactions"))

    def ready(self) -> str | None:
        try:
            migrate.check(self.schema(), self._address.masked)
            return _now(self._on(self._unready, "look into the store"))
        except StoreError as error:
            return str(error)

    async def _facts(self, connection: Any) -> Facts:
        schema = self._address.schema
        version, fsync, size, database = await connection.fetchrow(
            "select current_setting('server_version'), current_setting('fsync'), coalesce((select sum(pg_total_relation_size(c.oid)) "
            "from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relkind = 'r'), 0)::bigint, "
            "pg_database_size(current_database())",
            schema,
        )
        warnings = () if fsync == "on" else ("the server runs with fsync = off: a power failure may lose or damage everything",)
        return Facts(f"PostgreSQL {version}", self._address.masked, {f"schema {schema}": size, "database": database}, warnings)

    async def _held_back(self, connection: Any) -> Holder | None:
        async def fetch(sql: str, params: Any) -> Rows:
            return await connection.fetch(sql, *params)  # type: ignore[no-any-return]

        return await drive_async(who_holds(), load(schema=self._address.schema), fetch)

    async def _schema(self, connection: Any) -> Schema:
        return await migrate.read(connection, self._address.schema)

    async def _unready(self, connection: Any) -> str | None:
        if await connection.fetchval("select pg_is_in_recovery()"):
            return f"{self._address.masked} is a standby: nothing can be written there"
        store_id = await connection.fetchval(in_schema("select value from penstock.meta where name = 'store_id'", self._address.schema))
        lives = Lives.here(str(store_id))
        workers = await connection.fetch(in_schema("select incarnation from penstock.worker", self._address.schema))
        if not all(lives.died(row[0]) for row in workers):
            return None
        return "no worker is alive: start one with `penstock worker module:app`"

    async def _on(self, work: Callable[[Any], Awaitable[T]], doing: str) -> T:
        """In one transaction, and without preparing anything: there may be a pooler."""
        connection = await connect(self._address, pooled=True)
        try:
            check(connection, self._address)
            async with connection.transaction():
                return await work(connection)
        except ERRORS as error:
            raise translated(error, f"{doing} of {self._address.masked}") from error
        finally:
            connection.terminate()


def _now(work: Coroutine[Any, Any, T]) -> T:
    """Run it on a thread of its own: a loop may run on this one."""
    with ThreadPoolExecutor(1, thread_name_prefix="penstock-administration") as thread:
        return thread.submit(lambda: asyncio.run(work)).result()
