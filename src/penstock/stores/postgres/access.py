"""What everything that writes works with, and how a program is run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from msgspec import Struct

from penstock.errors import PublishUnknown, StoreError
from penstock.model.statement import Program, Rows
from penstock.ports.signals import Signals
from penstock.stores.postgres.bells import Bells
from penstock.stores.postgres.clock import PostgresClock
from penstock.stores.postgres.failures import broken, lost
from penstock.stores.postgres.pool import ERRORS, HASTE, Pool, not_for_long
from penstock.stores.sql.dialect import Dialect
from penstock.stores.sql.executors import drive_async
from penstock.stores.sql.library import Library

T = TypeVar("T")


class Access(Struct, frozen=True):
    pool: Pool
    relaxed: Pool
    """For what may be lost with the server: claims, beats and acknowledgements."""
    library: Library
    dialect: Dialect
    clock: PostgresClock
    signals: Signals
    power: bool
    """Commits that must survive power loss are flushed."""
    bells: Bells
    lanes: tuple[Pool, Pool]
    """The same two once more, hasty."""

    async def drive(self, connection: Any, program: Program[T]) -> T:
        """Run a program to its end, a round trip a statement."""

        async def fetch(sql: str, params: Any) -> Rows:
            return await connection.fetch(sql, *params)  # type: ignore[no-any-return]

        return await drive_async(program, self.library, fetch)

    def pool_for(self, *, durable: bool, hasty: bool = False) -> Pool:
        pools = self.lanes if hasty else (self.pool, self.relaxed)
        return pools[0] if durable and self.power else pools[1]

    def settings(self, *, durable: bool) -> Sequence[str]:
        """What a transaction begins with, unless the session is ours alone. Nothing is left in it."""
        return (f"set local synchronous_commit = {'on' if durable and self.power else 'off'}",)

    @asynccontextmanager
    async def within(self, connection: Any, doing: str, *, durable: bool, hasty: bool = False) -> AsyncGenerator[None, None]:
        """A transaction on a connection; it begins in one round trip, and commits, or rolls back if something is raised."""
        try:
            await connection.execute(self._beginning(durable=durable, hasty=hasty))
            yield
        except BaseException:
            await undo(connection)
            raise
        await commit(connection, doing, durable=durable)

    def _beginning(self, *, durable: bool, hasty: bool) -> str:
        """Sessions of our own are set already; a pooler keeps nothing in one."""
        if not self.pool.pooled:
            return "begin"
        local = [f"set local {not_for_long(relaxed=not durable)}"] + ([f"set local lock_timeout = '{HASTE}'"] if hasty else [])
        return "; ".join(("begin", *self.settings(durable=durable), *local))


class Told:
    """`async with`: driver errors become StoreErrors, of the server, or of one statement's data."""

    __slots__ = ("_connection", "_doing")

    def __init__(self, doing: str, connection: Any) -> None:
        self._doing = doing
        self._connection = connection

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or not isinstance(error, ERRORS):
            return
        raise broken(error, self._doing, self._connection) from error


async def commit(connection: Any, doing: str, *, durable: bool) -> None:
    """Raises StoreError if an earlier statement had failed: then PostgreSQL rolls back, and says so in its answer only."""
    try:
        status = await connection.execute("commit")
    except ERRORS as error:
        raise (unknown_if_lost(error, doing, connection) if durable else error) from error
    if status != "COMMIT":
        raise StoreError(f"{doing}: an earlier statement of the transaction had failed; all of it was rolled back")


def unknown_if_lost(error: Exception, doing: str, connection: Any) -> Exception:
    """Of an error while something was committed."""
    if lost(error) or connection.is_closed():
        return PublishUnknown(f"{doing}: the connection broke during the commit; retry with the same id ({error})")
    return error


async def undo(connection: Any) -> None:
    """Never raises: a connection that cannot roll back is closed, which rolls back."""
    try:
        if not connection.is_closed():
            await connection.execute("rollback")
    except BaseException as error:
        connection.terminate()
        if not isinstance(error, ERRORS):
            raise
