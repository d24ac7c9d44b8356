"""One database transaction for a handler or for `app.transaction()`: its connection, its lock, its time limit, its end.

It begins at its first statement and then has `limit` seconds. Past them a statement that runs is cancelled, the transaction is rolled
back, and everything that still comes gets `TransactionClosed` with the last statement's text. One lock serialises everybody who
uses it. A crash anywhere before the commit leaves nothing: neither rows, nor follow-ups, nor the settlement.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from penstock.errors import StoreError, StoreUnavailable, TransactionClosed
from penstock.stores.postgres.access import Access, commit, undo
from penstock.stores.postgres.failures import state_of, translate
from penstock.stores.postgres.pool import ERRORS, Pool

T = TypeVar("T")

_DOING = "run a statement in a transaction"
_FAILED = "25P02"


class Transaction:
    """Lives on the loop of its store."""

    def __init__(self, access: Access, pool: Pool, limit: float) -> None:
        self.access = access
        self.loop = asyncio.get_running_loop()
        self.limit = limit
        self.connection: Any = None
        self.started = False
        self.refused = False
        """It could not begin, for the store's reasons."""
        self.over: str | None = None
        self.last = ""
        self._pool = pool
        self._lock = asyncio.Lock()
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._late: asyncio.Task[None] | None = None
        self._failed = ""
        """The first error of a statement; of no account if it was in a savepoint that was rolled back."""

    async def run(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Raises TransactionClosed when it is over, StoreError, and the driver's own errors of a statement."""
        async with self._lock:
            if self.over is not None:
                raise TransactionClosed(self.over)
            connection = await self._begun()
            try:
                async with asyncio.timeout_at(self._deadline):
                    return await work(connection)
            except TimeoutError:
                if self.loop.time() < self._deadline:
                    raise
                await self._expire()
                raise TransactionClosed(str(self.over)) from None
            except ERRORS as error:
                raise (await self._explain(error)) from error

    async def commit(self, finish: Callable[[Any], Awaitable[None]]) -> None:
        """`finish` writes what is left. To its end, whoever stops waiting for it; if it fails, all is rolled back."""
        await asyncio.shield(self.loop.create_task(self._commit(finish)))

    async def rollback(self) -> None:
        async with self._lock:
            if self.over is None:
                await self._give_up("the transaction was rolled back" + ("" if self.started else " before it began"))

    # -- ends

    async def _commit(self, finish: Callable[[Any], Awaitable[None]]) -> None:
        async with self._lock:
            if self.over is not None:
                raise TransactionClosed(self.over)
            connection = await self._begun()
            try:
                await self._finish(connection, finish)
            except ERRORS as error:
                explained = await self._explain(error)
                await self._give_up("the transaction has ended")
                raise explained from error
            except BaseException:
                await self._give_up("the transaction has ended")
                raise
            self._end("the transaction has ended")

    async def _finish(self, connection: Any, finish: Callable[[Any], Awaitable[None]]) -> None:
        reach = self.access.signals.reach
        await finish(connection)
        reach("tx.before_commit")
        await commit(connection, "commit a transaction", durable=True)
        reach("tx.after_commit")

    async def _begun(self) -> Any:
        return await self._begin() if self.connection is None else self.connection

    async def _begin(self) -> Any:
        self.refused = True
        connection = await self._pool.take()
        try:
            await self.access.begin(connection, durable=True)
        except BaseException as error:
            connection.terminate()
            self._pool.give(connection)
            raise (translate(error, "begin a transaction") or error) from error
        self.refused = False
        self.connection, self.started = connection, True
        self._deadline = self.loop.time() + self.limit
        self._timer = self.loop.call_at(self._deadline, self._look_late)
        self.access.signals.reach("tx.begun")
        return connection

    async def _explain(self, error: Exception) -> Exception:
        if self.connection.is_closed():
            await self._give_up(f"the connection broke: {error}")
            return translate(error, _DOING) or StoreUnavailable(f"{_DOING}: the connection broke ({error})")
        if state_of(error) == _FAILED and self._failed:
            return StoreError(
                f"a statement of this transaction had failed ({self._failed}): PostgreSQL keeps nothing of it; "
                "put what may fail into a nested app.transaction()"
            )
        self._failed = self._failed or f"{type(error).__name__}: {error}"
        return translate(error, _DOING) or error

    def _look_late(self) -> None:
        self._late = self.loop.create_task(self._time_out())

    async def _time_out(self) -> None:
        async with self._lock:
            if self.over is None:
                await self._expire()

    async def _expire(self) -> None:
        await self._give_up(f"the transaction was open for more than {self.limit:g} s and was rolled back")

    async def _give_up(self, why: str) -> None:
        """Roll back, if it has begun."""
        if self.connection is not None:
            await undo(self.connection)
        self._end(f"{why}; its last statement: {self.last or 'none'}" if self.started else why)

    def _end(self, why: str) -> None:
        self.over = why
        if self._timer is not None:
            self._timer.cancel()
        connection, self.connection = self.connection, None
        if connection is not None:
            self._pool.give(connection)
