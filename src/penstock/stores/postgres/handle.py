"""A transaction as its user holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

from penstock.errors import ConfigurationError, TransactionClosed
from penstock.model.chain import brings_work
from penstock.model.delivery import Settlement
from penstock.model.statement import Program, Row, Statement
from penstock.ports.transaction import Carrier
from penstock.stores.postgres.marks import bind
from penstock.stores.postgres.settling import settle_with
from penstock.stores.postgres.transaction import Transaction
from penstock.stores.sql.endings import refuse_ending
from penstock.stores.sql.turns import Turns
from penstock.stores.sql.verbs import KeptVerbs, refuse_lost

T = TypeVar("T")

Work: TypeAlias = Callable[[Carrier], Awaitable[T]]
_OVER = "the transaction has ended; nothing more can join it"


class Book(Protocol):
    """What workers of this process hold: `doubt`."""

    def parts(self, owner: int, settlements: Sequence[Settlement]) -> Sequence[Sequence[Settlement]]:
        """What is written apart."""
        ...

    def ended(self, owner: int, settlements: Sequence[Settlement]) -> None: ...


class Handle(KeptVerbs):
    """Implements `ports.transaction.OpenTransaction`."""

    def __init__(self, inner: Transaction, book: Book) -> None:
        super().__init__(inner.access.dialect)
        self._inner = inner
        self._book = book
        self._access = inner.access
        self._turns: Turns | None = None
        self._depth = 0
        self._ended = False
        self._rings = False
        self._heard: list[Row] = []

    @property
    def connection(self) -> Any:
        """The driver's. Raises ConfigurationError before the first statement."""
        if self._ended or self._inner.over is not None:
            raise TransactionClosed(self._inner.over or _OVER)
        if not self._inner.started:
            raise ConfigurationError("tx.connection: the transaction begins at its first statement; run that by `await tx.execute(…)`")
        return self._inner.carrier.connection

    @property
    def started(self) -> bool:
        return self._inner.started and self._inner.over is None

    @property
    def refused(self) -> bool:
        return self._inner.refused

    async def execute(self, sql: str, params: Mapping[str, object]) -> int:
        text, values = self._bound(sql, params)
        return await self._run(sql, lambda carrier: carrier.execute(text, values))

    def execute_now(self, sql: str, params: Mapping[str, object]) -> int:
        return self._now(self.execute(sql, params))

    async def fetch(self, sql: str, params: Mapping[str, object]) -> list[Mapping[str, Any]]:
        text, values = self._bound(sql, params)
        return await self._run(sql, lambda carrier: carrier.fetch(text, values))

    def fetch_now(self, sql: str, params: Mapping[str, object]) -> list[Mapping[str, Any]]:
        return self._now(self.fetch(sql, params))

    async def savepoint(self) -> Handle:
        """Waits until the one beside it, that another task has open, has ended."""
        self._check()
        if self._turns is None:
            self._turns = Turns(self._check, self._inner.limit)
        await self._turns.take()
        nested = Savepoint(self, self._turns)
        await nested.begin()
        return nested

    async def commit(self, settle: tuple[int, Sequence[Settlement]] | None = None, *, alone: bool = False) -> None:
        self._close()
        if not self._inner.started and not self._kept and settle is None:
            return
        if alone:
            await self._commit(settle)
        else:
            await asyncio.shield(self._inner.loop.create_task(self._commit(settle)))

    async def _commit(self, settle: tuple[int, Sequence[Settlement]] | None) -> None:
        """And what others are told of it."""
        await self._inner.commit(lambda _: self._finish(settle))
        if settle is not None:
            self._book.ended(*settle)
        self._access.bells.tell(self._heard)
        if self._rings:
            self._access.bells.ring(self._kept.ranks)

    async def rollback(self) -> None:
        if self._ended:
            return
        self._close()
        self._kept.clear()
        if self._inner.started:
            await asyncio.shield(self._inner.loop.create_task(self._inner.rollback()))
        else:
            await self._inner.rollback()

    # -- the work

    async def _finish(self, ending: tuple[int, Sequence[Settlement]] | None) -> None:
        """All but the commit."""
        if ending is None:
            await self._flush()
            return
        owner, settlements = ending
        parts = self._book.parts(owner, settlements)
        if len(parts) > 1:
            await self._inner.drive(partial(_lock, owner, settlements))
        for part in parts:
            settled, wrote = await self._inner.drive(partial(settle_with, self._kept, owner, part))
            self._rings |= wrote
            refuse_lost(settled, part)
            self._heard += settled.heard
        self._rings |= any(brings_work(each.delivery) for each in settlements)

    async def _flush(self) -> None:
        """What was kept back."""
        if self._kept:
            self._rings |= await self._inner.drive(self._kept.write)

    async def _at_once(self, make: Callable[[int], Program[Any]]) -> Any:
        async def work(carrier: Carrier) -> Any:
            await self._flush()
            result = await self._inner.drive(make)
            self._rings = True
            return result

        return await self._run("", work)

    def _at_once_now(self, make: Callable[[int], Program[Any]]) -> Any:
        return self._now(self._at_once(make))

    async def _run(self, sql: str, work: Work[T]) -> T:
        async def noted(carrier: Carrier) -> T:
            self._check()
            if sql:
                self._inner.last = sql
            return await work(carrier)

        return await self._inner.run(noted)

    # -- on the loop of the store, where its users' verbs are sent, or on a thread

    def _bound(self, sql: str, params: Mapping[str, object]) -> tuple[str, Any]:
        self._check(sql)
        return bind(sql, params, self._inner.carrier.driver)

    def _close(self) -> None:
        if self._ended:
            raise TransactionClosed(_OVER)
        self._ended = True

    def _check(self, sql: str = "") -> None:
        """A transaction that has ended is not begun again, and does not end by a statement."""
        refuse_ending(sql)
        if self._ended or self._inner.over is not None:
            raise TransactionClosed(self._inner.over or _OVER)

    def _now(self, work: Coroutine[Any, Any, T]) -> T:
        """Blocks the calling thread."""
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is self._inner.loop:
            work.close()
            raise ConfigurationError("tx.sync would block the event loop that this app runs on: await the verb without .sync")
        return asyncio.run_coroutine_threadsafe(work, self._inner.loop).result()


class Savepoint(Handle):
    """`transaction()` inside a transaction. Its end releases or rolls back to where it began; what it kept back goes with it.

    It has a turn from before it begins until it has ended. Its name is its depth, so that none that could not begin ends another one.
    """

    def __init__(self, outer: Handle, turns: Turns) -> None:
        super().__init__(outer._inner, outer._book)
        self._outer = outer
        self._siblings = turns
        self._depth = outer._depth + 1
        self._name = f"penstock_savepoint_{self._depth}"
        self._gone = False
        """Ended in the database."""

    async def begin(self) -> None:
        try:
            await self._inner.run(self._open)
        except BaseException:
            self._ended = True
            self._siblings.leave()
            raise

    async def commit(self, settle: tuple[int, Sequence[Settlement]] | None = None, *, alone: bool = False) -> None:
        self._close()
        await self._end(self._release)
        self._outer._rings |= self._rings
        self._outer._kept.ranks |= self._kept.ranks

    async def rollback(self) -> None:
        if self._ended:
            return
        self._close()
        self._kept.clear()
        await self._end(self._undo)

    async def _end(self, work: Work[None]) -> None:
        """To its end, also if whoever waits for it is cancelled again: else the transaction around it would commit what is left."""
        await asyncio.shield(self._inner.loop.create_task(self._end_once(work)))

    async def _end_once(self, work: Work[None]) -> None:
        try:
            await self._inner.run(work)
        finally:
            self._siblings.leave()

    async def _open(self, carrier: Carrier) -> None:
        await self._outer._flush()
        await carrier.run(f"savepoint {self._name}", ())

    async def _release(self, carrier: Carrier) -> None:
        self._check_outer()
        try:
            await self._flush()
            await carrier.run(f"release {self._name}", ())
        except BaseException:
            await self._undo(carrier)
            raise
        self._gone = True

    async def _undo(self, carrier: Carrier) -> None:
        self._check_outer()
        self._gone = True
        await carrier.run(f"rollback to {self._name}", ())
        await carrier.run(f"release {self._name}", ())

    def _check_outer(self) -> None:
        """Left open by one that has ended, it went as that went; its name may be another's by now."""
        outer: Handle = self._outer
        while isinstance(outer, Savepoint):
            if outer._gone:
                raise TransactionClosed("the transaction around this one has ended, and this one with it")
            outer = outer._outer


def _lock(owner: int, settlements: Sequence[Settlement], _: int) -> Program[None]:
    """All that their ends lock, in the one order, before the first of them."""
    yield Statement("lock_ends", {"owner": owner, "seqs": str([each.delivery.seq for each in settlements])})
