"""A transaction as its user holds it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

from penstock.errors import StoreUnavailable, TransactionClosed
from penstock.model.chain import brings_work
from penstock.model.delivery import Settlement
from penstock.model.statement import Program
from penstock.stores.sql.dialect import Settled
from penstock.stores.sql.endings import refuse_ending
from penstock.stores.sql.reply import Reply
from penstock.stores.sql.turns import Turns
from penstock.stores.sql.verbs import KeptVerbs, refuse_lost
from penstock.stores.sqlite.access import Access
from penstock.stores.sqlite.loan import Loan
from penstock.stores.sqlite.transaction import Request, Transaction, TransactionThread

Work = Callable[[sqlite3.Connection], Any]


class Handle(KeptVerbs):
    """Implements `ports.transaction.OpenTransaction`."""

    def __init__(self, access: Access, thread: TransactionThread, inner: Transaction) -> None:
        super().__init__(access.dialect)
        self._access = access
        self._thread = thread
        self._inner = inner
        self._loan = Loan(thread, inner, thread.guests) if thread.guests is not None else None
        """To a library whose connection is shown as this one's."""
        self._turns: Turns | None = None
        self._depth = 0
        self._ended = False
        self._asked = False

    @property
    def connection(self) -> Any:
        """sqlite3's belongs to the transaction thread: use it only inside `tx.execute`-like calls of your own thread's making."""
        if self._loan is None:
            return self._thread._connection
        self._check()
        return self._loan.connection

    @property
    def started(self) -> bool:
        return self._inner.started and self._inner.over is None

    @property
    def refused(self) -> bool:
        return self._inner.refused

    async def execute(self, sql: str, params: Mapping[str, object]) -> int:
        self._check(sql)
        return int(await self._ask(lambda connection: _changed(self._statement(connection, sql, params))))

    def execute_now(self, sql: str, params: Mapping[str, object]) -> int:
        self._check(sql)
        return int(self._ask_now(lambda connection: _changed(self._statement(connection, sql, params))))

    async def fetch(self, sql: str, params: Mapping[str, object]) -> list[Mapping[str, Any]]:
        self._check(sql)
        return await self._ask(lambda connection: _rows(self._statement(connection, sql, params)))  # type: ignore[no-any-return]

    def fetch_now(self, sql: str, params: Mapping[str, object]) -> list[Mapping[str, Any]]:
        self._check(sql)
        return self._ask_now(lambda connection: _rows(self._statement(connection, sql, params)))  # type: ignore[no-any-return]

    async def savepoint(self) -> Handle:
        """Waits until the one beside it, that another task has open, has ended."""
        self._check()
        if self._turns is None:
            self._turns = Turns(self._check, self._thread.limit)
        await self._turns.take()
        nested = Savepoint(self, self._turns)
        await nested.begin()
        return nested

    async def commit(self, settle: tuple[int, Sequence[Settlement]] | None = None, *, alone: bool = False) -> None:
        self._close()
        self._end_loan()
        if not self._inner.started and not self._kept and settle is None:
            return
        await self._ask(lambda connection: self._finish(connection, settle), ends="commit")

    async def rollback(self) -> None:
        if self._ended:
            return
        self._close()
        self._end_loan()
        self._kept.clear()
        self._inner.abandoned = True
        if self._asked and self._inner.over is None:
            with suppress(TransactionClosed, StoreUnavailable):  # it has been rolled back by now
                await self._ask(lambda connection: None, ends="rollback")

    # -- on the caller's thread ----------------------------------------------------------------------

    def _close(self) -> None:
        if self._ended:
            raise TransactionClosed("the transaction has ended; nothing more can join it")
        self._ended = True

    def _end_loan(self) -> None:
        if self._loan is not None:
            self._loan.end()

    def _check(self, sql: str = "") -> None:
        """A transaction that has ended is not begun again, and does not end by a statement."""
        refuse_ending(sql)
        if self._ended or self._inner.over is not None:
            raise TransactionClosed(self._inner.over or "the transaction has ended; nothing more can join it")

    async def _at_once(self, make: Callable[[int], Program[Any]]) -> Any:
        return await self._ask(self._after_the_kept(make))

    def _at_once_now(self, make: Callable[[int], Program[Any]]) -> Any:
        return self._ask_now(self._after_the_kept(make))

    async def _ask(self, work: Work, *, ends: Literal["no", "commit", "rollback"] = "no") -> Any:
        self._asked = True
        reply = Reply.awaited()
        self._thread.post(Request(self._inner, work, reply, ends))
        return await reply.future

    def _ask_now(self, work: Work) -> Any:
        self._asked = True
        reply = Reply.blocking()
        self._thread.post(Request(self._inner, work, reply))
        return reply.future.result()

    # -- on the transaction thread -------------------------------------------------------------------

    def _statement(self, connection: sqlite3.Connection, sql: str, params: Mapping[str, object]) -> sqlite3.Cursor:
        if self._ended:
            raise TransactionClosed("the transaction has ended; nothing more can join it")
        self._inner.last = " ".join(sql.split())[:200]
        return connection.execute(sql, params)

    def _program(self, make: Callable[[int], Program[Any]]) -> Work:
        def work(connection: sqlite3.Connection) -> Any:
            return self._access.drive(connection, make(self._access.clock.now()))

        return work

    def _after_the_kept(self, make: Callable[[int], Program[Any]]) -> Work:
        def work(connection: sqlite3.Connection) -> Any:
            self._flush(connection)
            result = self._program(make)(connection)
            self._inner.rings = True
            return result

        return work

    def _flush(self, connection: sqlite3.Connection) -> None:
        if self._kept:
            self._inner.rings |= self._program(self._kept.write)(connection)

    def _finish(self, connection: sqlite3.Connection, ending: tuple[int, Sequence[Settlement]] | None) -> None:
        """All but the commit."""
        self._flush(connection)
        if ending is None:
            return
        owner, settlements = ending
        settled: Settled = self._program(lambda now: self._dialect.settle(owner, settlements, now))(connection)
        refuse_lost(settled, settlements)
        self._inner.rings |= any(brings_work(each.delivery) for each in settlements)
        self._inner.heard = settled.heard


class Savepoint(Handle):
    """`transaction()` inside a transaction. Its end releases or rolls back to where it began; what it kept back goes with it.

    It has a turn from before it begins until its end is asked for: requests are served in order, so the next one begins after it.
    Its name is its depth, so that none that could not begin ends another one.
    """

    def __init__(self, outer: Handle, turns: Turns) -> None:
        super().__init__(outer._access, outer._thread, outer._inner)
        self._loan = outer._loan
        self._outer = outer
        self._siblings = turns
        self._depth = outer._depth + 1
        self._name = f"penstock_savepoint_{self._depth}"
        self._gone = False
        """Ended, on the transaction thread."""

    async def begin(self) -> None:
        try:
            await self._ask(self._open)
        except BaseException:
            self._forgo()
            raise

    async def commit(self, settle: tuple[int, Sequence[Settlement]] | None = None, *, alone: bool = False) -> None:
        self._close()
        await self._end(self._release)

    async def rollback(self) -> None:
        if self._ended:
            return
        self._close()
        self._kept.clear()
        await self._end(self._undo)

    async def _end(self, work: Work) -> None:
        try:
            await self._ask(work)
        finally:
            self._siblings.leave()

    def _forgo(self) -> None:
        """It could not begin, or nobody waits for it any more: then it may yet begin."""
        self._ended = True
        with suppress(TransactionClosed, StoreUnavailable):
            self._thread.post(Request(self._inner, self._undo, Reply.blocking()))
        self._siblings.leave()

    def _open(self, connection: sqlite3.Connection) -> None:
        self._outer._flush(connection)
        connection.execute(f"savepoint {self._name}")

    def _release(self, connection: sqlite3.Connection) -> None:
        self._check_outer()
        try:
            self._flush(connection)
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite has undone all of it
                self._undo(connection)
            raise
        self._gone = True
        connection.execute(f"release {self._name}")

    def _undo(self, connection: sqlite3.Connection) -> None:
        self._check_outer()
        self._gone = True
        connection.execute(f"rollback to {self._name}")
        connection.execute(f"release {self._name}")

    def _check_outer(self) -> None:
        """Left open by one that has ended, it went as that went; its name may be another's by now."""
        outer: Handle = self._outer
        while isinstance(outer, Savepoint):
            if outer._gone:
                raise TransactionClosed("the transaction around this one has ended, and this one with it")
            outer = outer._outer


def _changed(cursor: sqlite3.Cursor) -> int:
    """What a `returning` changed is counted when its rows have been fetched."""
    if cursor.description:
        cursor.fetchall()
    return cursor.rowcount


def _rows(cursor: sqlite3.Cursor) -> list[Mapping[str, Any]]:
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
