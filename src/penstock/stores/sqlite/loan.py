"""A transaction's connection, lent to a library of the user's that speaks on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from penstock.ports.transaction import Guest
from penstock.stores.sql.reply import Reply
from penstock.stores.sqlite.transaction import Request, Transaction, TransactionThread

T = TypeVar("T")


class Loan:
    """Implements `ports.transaction.Loan`. Ends with its transaction."""

    def __init__(self, thread: TransactionThread, inner: Transaction, invite: Callable[[Loan], Guest]) -> None:
        self._thread = thread
        self._inner = inner
        self._invite = invite
        self._guest: Guest | None = None

    @property
    def connection(self) -> object:
        """The library's own."""
        if self._guest is None:
            self._guest = self._invite(self)
        return self._guest.connection

    def end(self) -> None:
        if self._guest is not None:
            self._guest.leave()

    async def use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        reply = Reply.awaited()
        self._thread.post(Request(self._inner, work, reply))
        return await reply.future  # type: ignore[no-any-return]

    def use_now(self, work: Callable[[sqlite3.Connection], T]) -> T:
        reply = Reply.blocking()
        self._thread.post(Request(self._inner, work, reply))
        return reply.future.result()  # type: ignore[no-any-return]
