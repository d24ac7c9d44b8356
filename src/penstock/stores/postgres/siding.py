"""Where a group goes that met a lock which somebody keeps: a user's transaction that put a unique name or a chosen id, appended to a key,
or made a topic, and stays open. The lane goes on; here each member is tried by itself, now and then, until it passes or is given up.

Nobody keeps a connection while it waits, so those that can be written pass by those that cannot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from msgspec import Struct

from penstock.errors import StoreError, StoreUnavailable
from penstock.model.statement import Statement
from penstock.stores.postgres.access import Access
from penstock.stores.postgres.failures import kept_waiting
from penstock.stores.postgres.pool import ERRORS
from penstock.stores.sql.operations import Operation

ASIDE = 2
"""Members that are tried at the same time."""
_PATIENCE, _PAUSE = 30.0, 0.1
"""Seconds until a member is given up, and between two tries."""

Write: TypeAlias = Callable[[Sequence[Operation]], Awaitable[list[Any]]]


class Ticket(Struct, gc=False, eq=False):
    operation: Operation
    answer: asyncio.Future[Any]

    def serve(self, result: Any) -> None:
        if not self.answer.done():
            self.answer.set_result(result)

    def refuse(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Siding:
    def __init__(self, write: Write, access: Access, patience: float = _PATIENCE) -> None:
        """`write` does not wait for locks."""
        self.patience = patience
        self._write = write
        self._access = access
        self._room = asyncio.Semaphore(ASIDE)
        self._loop = asyncio.get_running_loop()
        self._running: set[asyncio.Task[None]] = set()

    def take(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            task = self._loop.create_task(self._serve(ticket))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Write what can be written, and give up the rest in its time."""
        if self._running:
            await asyncio.wait(self._running)

    async def _serve(self, ticket: Ticket) -> None:
        until = self._loop.time() + self.patience
        try:
            while (results := await self._try(ticket.operation)) is None:
                if self._loop.time() >= until:
                    raise StoreUnavailable(await self._complaint(ticket.operation))
                await asyncio.sleep(_PAUSE)
            ticket.serve(results[0])
        except BaseException as error:
            ticket.refuse(error)
            if isinstance(error, asyncio.CancelledError):
                raise

    async def _try(self, operation: Operation) -> list[Any] | None:
        """None: somebody keeps a lock that it needs."""
        try:
            async with self._room:
                return await self._write([operation])
        except StoreError as error:
            if not kept_waiting(error.__cause__ or error):
                raise
            return None

    async def _complaint(self, operation: Operation) -> str:
        """With who has been writing for longest: the server does not say who kept the lock."""
        rows: Sequence[Any] = ()
        ((sql, _),) = self._access.library.calls(Statement("oldest_writer"))
        with suppress(StoreError, *ERRORS):
            async with self._access.pool.lend() as connection:
                rows = await connection.fetch(sql)
        who = "; ".join(f"pid {pid} ({name or 'no name'}), open for {age or 0} s" for pid, name, age in rows)
        return (
            f"{operation.doing}: a transaction keeps what it needs locked for more than {self.patience:g} s;"
            f" end that: {who or 'it has just ended'}"
        )
