"""The connections of one process.

The least recently used one is taken last, so that a quiet process lets the others be. A connection that broke is forgotten, and the
next one is made when it is needed: that is all there is to reconnecting.

Behind a transaction pooler a session is not one server process: nothing may be kept in it, neither prepared statements nor settings
nor a LISTEN. The server process that a pooler names at the beginning is not the one that answers: so it is found out, by a statement that
leaves nothing itself.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import asyncpg

from penstock.errors import StoreError, StoreUnavailable
from penstock.stores.postgres import wire
from penstock.stores.postgres.address import Address
from penstock.stores.postgres.failures import broken, translated

ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError)
"""What asyncpg raises; `InterfaceError` is the driver's own."""
_CONNECTING = 10
_PLANNED = 10.0
"""Seconds that a statement keeps its plan. Within these a table of one page may have become one of thousands, all dead: so ours
do without sequential scans where there is an index."""
_PLANS = ("enable_seqscan = off", "enable_bitmapscan = off", "plan_cache_mode = force_generic_plan")
"""Of our own statements: their plans do not depend on what is asked, and planning a claim anew costs as much as half of it."""
SIZE = 20
_STILL, _STILL_DURABLE = 3, 10
"""Seconds after which the server ends a transaction in which nothing happens."""
HASTE = "50ms"
"""Longer than our own transactions keep a lock, but for the slowest disk: who waits longer waits for a user's."""
_ASKING, _ASKED = "Connection._cancel", 1.0
_OLDEST = 15


class Pool:
    def __init__(self, address: Address, size: int = SIZE, *, relaxed: bool = False, lent: bool = False, hasty: bool = False) -> None:
        """`relaxed`: a crash of the server may undo what is committed last on these connections; on others it may not, whatever the
        database sets by default. Behind a pooler each transaction says so itself. `lent`: statements of the user's run on them, too.
        `hasty`: they wait for no lock that somebody keeps."""
        self._address = address
        self._relaxed = relaxed
        self._lent = lent
        self._hasty = hasty
        self._free: list[Any] = []
        self._planned: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()
        self._room = asyncio.Semaphore(size)
        self._inherited = wire.Inherited()
        self._closed = False
        self.pooled = False
        """There is a pooler between us and the server. Known once a connection was made."""
        self.connected: Callable[[], None] = _nothing
        """Called when a connection was made, before it is used: the server may have crashed since the last one."""

    async def take(self) -> Any:
        """A connection of one's own until `give`. Raises StoreError."""
        await self._room.acquire()
        try:
            return await self._find()
        except BaseException:
            self._room.release()
            raise

    def give(self, connection: Any) -> None:
        """Back, or away if it broke, or if a transaction is open on it."""
        self._room.release()
        if self._closed or connection.is_closed() or connection.is_in_transaction():
            connection.terminate()
        else:
            self._free.append(connection)

    def lend(self) -> Lent:
        """`async with`: a connection, given back at the end. Raises StoreError."""
        return Lent(self)

    async def connect(self) -> Any:
        """One that the pool does not count."""
        return await self._made(self._set, pooled=self.pooled)

    async def start(self) -> None:
        """Raises StoreError: what is wrong with the address is said now."""
        connection = await self._made(self._look_around)
        if self.pooled:
            connection.terminate()  # it would prepare statements
        else:
            self._planned[connection] = time.monotonic()
            self._free.append(connection)

    async def close(self) -> None:
        self._closed = True
        free, self._free = self._free, []
        for connection in free:
            with suppress(*ERRORS):
                await connection.close(timeout=1.0)

    async def _made(self, prepare: Callable[[Any], Awaitable[None]], *, pooled: bool = False) -> Any:
        connection = await connect(self._address, pooled=pooled)
        self._inherited.add(connection)
        try:
            await prepare(connection)
        except ERRORS as error:
            told = broken(error, f"connect to {self._address.masked}", connection)
            connection.terminate()
            raise told from error
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _look_around(self, connection: Any) -> None:
        check(connection, self._address)
        self.pooled = await _has_pooler(connection)
        await self._set(connection)

    async def _set(self, connection: Any) -> None:
        if self.pooled:
            return
        settings = ["jit = off", f"synchronous_commit = {'off' if self._relaxed else 'on'}", *wire.SERVER]
        settings += [] if self._lent else [*_PLANS, not_for_long(relaxed=self._relaxed)]
        settings += [f"lock_timeout = '{HASTE}'"] if self._hasty else []
        await connection.execute("; ".join(f"set {each}" for each in settings))

    async def _find(self) -> Any:
        if self._closed:
            raise StoreUnavailable(f"{self._address.masked}: the store is closed")
        while self._free:
            connection = self._free.pop()
            if not connection.is_closed():
                return await self._fresh(connection)
        connection = await self.connect()
        self._planned[connection] = time.monotonic()
        self.connected()
        return connection

    async def _fresh(self, connection: Any) -> Any:
        """Plans that were made while a table was empty read all of it, until the server has analyzed it: so none gets old."""
        now = time.monotonic()
        if not self.pooled and now - self._planned[connection] > _PLANNED:
            self._planned[connection] = now
            try:
                await connection.execute("discard plans")
            except ERRORS:
                connection.terminate()
                return await self._find()
        return connection


class Lent:
    """A context manager written out: that of a generator takes a tenth of what a put costs."""

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Any:
        self._connection = await self._pool.take()
        return self._connection

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if isinstance(error, asyncio.CancelledError):
                await _cancellations()
        finally:
            self._pool.give(self._connection)


async def _cancellations() -> None:
    """asyncpg asks the server to cancel a statement by a task of its own. A loop that ends now would leave it pending, with a warning."""
    asking = [task for task in asyncio.all_tasks() if _ASKING in repr(task.get_coro())]
    if asking:
        await asyncio.wait(asking, timeout=_ASKED)


def _nothing() -> None: ...


async def connect(address: Address, *, pooled: bool = False) -> Any:
    """Raises StoreError."""
    cached = 0 if pooled else 500
    try:
        connection = await asyncpg.connect(address.dsn, timeout=_CONNECTING, statement_cache_size=cached, max_cached_statement_lifetime=0)
    except ERRORS as error:
        raise translated(error, f"connect to {address.masked}") from error
    except ValueError as error:
        raise StoreUnavailable(f"connect to {address.masked}: {error}") from error
    wire.watch(connection)
    return connection


def not_for_long(*, relaxed: bool) -> str:
    """Claims hold what others wait for: a process that stands still, or is cut off, in the middle of one must not keep it."""
    return f"idle_in_transaction_session_timeout = '{_STILL if relaxed else _STILL_DURABLE}s'"


def check(connection: Any, address: Address) -> None:
    """Raises StoreError for a server that is too old."""
    version = connection.get_server_version()
    if version.major < _OLDEST:
        raise StoreError(f"{address.masked}: PostgreSQL {version.major} is too old; Penstock needs {_OLDEST} or later")


async def _has_pooler(connection: Any) -> bool:
    """Asked by a statement that is not prepared; its answer is in how many rows it finds."""
    found = await connection.execute(f"select 1 where pg_backend_pid() = {connection.get_server_pid()}")
    return bool(found == "SELECT 0")
