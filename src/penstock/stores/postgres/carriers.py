"""The transactions of our own connections: on asyncpg for who awaits, on psycopg for who blocks a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from penstock.errors import TransactionClosed
from penstock.model.statement import Rows
from penstock.ports.cancelling import Canceller
from penstock.stores.postgres import wire
from penstock.stores.postgres.access import undo
from penstock.stores.postgres.pool import ERRORS, Pool

T = TypeVar("T")

FAILED = "a statement of this transaction had failed: PostgreSQL keeps nothing of it; put what may fail into a nested app.transaction()"


class AsyncpgCarrier:
    """Implements `ports.transaction.Carrier`."""

    driver = "asyncpg"

    def __init__(self, pool: Pool) -> None:
        self.connection: Any = None
        self._pool = pool

    @property
    def broken(self) -> bool:
        return bool(self.connection is not None and self.connection.is_closed())

    @property
    def ended(self) -> bool:
        return bool(self.connection is not None and not self.connection.is_in_transaction())

    async def begin(self, settings: Mapping[str, str]) -> None:
        connection = await self._pool.take()
        try:
            await connection.execute(f"begin; {_locally(settings)}")
        except BaseException:
            connection.terminate()
            self._pool.give(connection)
            raise
        self.connection = connection

    async def run(self, sql: str, params: Sequence[Any]) -> Rows:
        return await self.connection.fetch(sql, *params)  # type: ignore[no-any-return]

    async def fetch(self, sql: str, params: Sequence[Any]) -> list[Mapping[str, Any]]:
        return [dict(row) for row in await self.connection.fetch(sql, *params)]

    async def execute(self, sql: str, params: Sequence[Any]) -> int:
        return changed(await self.connection.execute(sql, *params))

    async def commit(self) -> None:
        status = await self.connection.execute("commit")
        self._give()
        if status != "COMMIT":
            raise TransactionClosed(FAILED)

    async def rollback(self) -> None:
        try:
            await undo(self.connection)
        finally:
            self._give()

    def _give(self) -> None:
        connection, self.connection = self.connection, None
        self._pool.give(connection)


class Threads:
    """psycopg connections of one process, and threads of their own: those of handlers may all wait for one of these."""

    def __init__(self, psycopg: Any, dsn: str, size: int, *, pooled: bool) -> None:
        """`psycopg`: the module; None where it is not installed, and nothing is taken."""
        self.psycopg = psycopg
        self.canceller = Canceller()
        self._dsn = dsn
        self._pooled = pooled
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="penstock-psycopg")
        self._room = asyncio.Semaphore(size)
        self._free: list[Any] = []
        self._inherited = wire.Inherited()

    async def run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def take(self) -> Any:
        """Raises what psycopg raises."""
        await self._room.acquire()
        try:
            return self._free.pop() if self._free else await self.run(self._connect)
        except BaseException:
            self._room.release()
            raise

    def give(self, connection: Any) -> None:
        self._room.release()
        if connection.closed or connection.info.transaction_status != 0:
            connection.close()
        else:
            self._free.append(connection)

    def close(self) -> None:
        for connection in self._free:
            connection.close()
        self._threads.shutdown(wait=False)
        self.canceller.close()

    def _connect(self) -> Any:
        connection = self.psycopg.connect(self._dsn, prepare_threshold=None, **wire.unsaid(self._dsn))
        self._inherited.add(connection)
        if not self._pooled:
            connection.execute("; ".join(f"set {each}" for each in wire.SERVER))
            connection.commit()
        return connection


class PsycopgCarrier:
    """Implements `ports.transaction.Carrier`; `connection` may be used by the handler on its thread."""

    driver = "psycopg"

    def __init__(self, threads: Threads) -> None:
        self.connection: Any = None
        self._threads = threads
        self._block: Any = None

    @property
    def broken(self) -> bool:
        return bool(self.connection is not None and self.connection.closed)

    @property
    def ended(self) -> bool:
        return bool(self.connection is not None and self.connection.info.transaction_status == _IDLE)

    async def begin(self, settings: Mapping[str, str]) -> None:
        connection = await self._threads.take()
        try:
            self._block = await self._threads.run(lambda: _begun(connection, settings))
        except BaseException:
            connection.close()
            self._threads.give(connection)
            raise
        self.connection = connection

    async def run(self, sql: str, params: Mapping[str, Any]) -> Rows:
        return (await self._threads.run(lambda: self._execute(sql, params)))[1]

    async def fetch(self, sql: str, params: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        names, rows, _ = await self._threads.run(lambda: self._execute(sql, params))
        return [dict(zip(names, row, strict=True)) for row in rows]

    async def execute(self, sql: str, params: Mapping[str, Any]) -> int:
        return changed((await self._threads.run(lambda: self._execute(sql, params)))[2])

    async def commit(self) -> None:
        failed = self.connection.info.transaction_status == _IN_ERROR
        await self._threads.run(self._undo if failed else self._commit)
        self._give()
        if failed:
            raise TransactionClosed(FAILED)

    async def rollback(self) -> None:
        try:
            cancelled = await self._threads.canceller.around(self.connection, self._threads.run(self._undo))
        except (*ERRORS, self._threads.psycopg.Error):
            cancelled = True
        if cancelled:
            self.connection.close()
        self._give()

    def _commit(self) -> None:
        """A block says nothing where its connection is gone."""
        if not self.connection.closed:
            self._block.__exit__(None, None, None)
        if self.connection.closed:
            raise self._threads.psycopg.OperationalError("the connection is closed")

    def _undo(self) -> None:
        undone = self._threads.psycopg.Rollback()
        self._block.__exit__(type(undone), undone, None)

    def _execute(self, sql: str, params: Mapping[str, Any]) -> tuple[Sequence[str], Rows, str]:
        """Names of the columns, rows, and the server's word."""
        with self.connection.cursor(row_factory=self._threads.psycopg.rows.tuple_row) as cursor:
            cursor.execute(sql, params)
            names = [column.name for column in cursor.description or ()]
            return names, cursor.fetchall() if names else (), cursor.statusmessage or ""

    def _give(self) -> None:
        connection, self.connection, self._block = self.connection, None, None
        self._threads.give(connection)


def _locally(settings: Mapping[str, str]) -> str:
    """Several statements: drivers that run no two in a round trip do this by one that costs the server twice as much."""
    return "; ".join(f"set local {name} = {value}" for name, value in settings.items())


def _begun(connection: Any, settings: Mapping[str, str]) -> Any:
    """A block of psycopg's: inside it the driver refuses the user's `commit()` and `rollback()`."""
    block = connection.transaction()
    block.__enter__()
    connection.execute(_locally(settings))
    return block


_IDLE, _IN_ERROR = 0, 3
"""Of psycopg's `TransactionStatus`."""


def changed(status: str) -> int:
    """As the server counts; -1 for statements that are not there to change rows."""
    verb, _, count = status.partition(" ")
    return int(count.rpartition(" ")[2]) if verb in ("INSERT", "UPDATE", "DELETE", "MERGE") else -1
