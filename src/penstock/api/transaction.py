"""Transactions that Penstock opens: for a handler that asked for `tx`, and for `app.transaction()`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, TypeVar, cast

from penstock.api.link import Link
from penstock.errors import ConfigurationError
from penstock.ports.store import Store
from penstock.ports.transaction import OpenTransaction, ambient

T = TypeVar("T")


class Transaction:
    """A database transaction of the app's store, shared with the user's own tables.

    A handler asks for it with a parameter typed `Transaction`, after `ctx`; what it writes, its acknowledgement, and what it
    enqueues meanwhile commit together or not at all. It begins at its first statement, and may stay open for 5 s. `:name` marks
    a parameter. Used after its end, everything raises TransactionClosed. While an `app.transaction()` inside it is open, what is
    executed through this one, by whatever task, is part of that one, and undone with it.

        @app.task()
        async def ship(tx: Transaction, order_id: str) -> None:
            await tx.execute("update orders set shipped = 1 where id = :id", id=order_id)
            await tell_customer.enqueue(order_id)          # joins by itself
    """

    def __init__(self, inner: OpenTransaction, link: Link) -> None:
        self._inner = inner
        self._link = link

    @property
    def connection(self) -> Any:
        """The driver's own connection (SQLite: a `sqlite3.Connection`, used on the transaction's thread only)."""
        return self._inner.connection

    @property
    def sync(self) -> SyncTransaction:
        """The same transaction for a `def` handler, which runs on a thread."""
        return SyncTransaction(self._inner, self._link)

    async def execute(self, sql: str, /, **params: object) -> int:
        """Run one statement. Returns the number of rows it changed."""
        return await self._run(lambda: self._inner.execute(sql, params))

    async def fetch(self, sql: str, /, **params: object) -> list[Mapping[str, Any]]:
        """All rows of a query, by column name."""
        return await self._run(lambda: self._inner.fetch(sql, params))

    async def fetch_one(self, sql: str, /, **params: object) -> Mapping[str, Any] | None:
        """The first row of a query, or None."""
        rows = await self.fetch(sql, **params)
        return rows[0] if rows else None

    async def _run(self, verb: Callable[[], Awaitable[T]]) -> T:
        if self._link.store_here() is not None:
            return await verb()
        return await self._link.run(lambda _: verb())


class SyncTransaction:
    """A `Transaction` for code on a thread. Blocks it; never use it on an event loop's thread."""

    def __init__(self, inner: OpenTransaction, link: Link) -> None:
        self._inner = inner
        self._link = link

    @property
    def connection(self) -> Any:
        """The driver's own connection."""
        return self._inner.connection

    def execute(self, sql: str, /, **params: object) -> int:
        """Run one statement. Returns the number of rows it changed."""
        return self._inner.execute_now(sql, params)

    def fetch(self, sql: str, /, **params: object) -> list[Mapping[str, Any]]:
        """All rows of a query, by column name."""
        return self._inner.fetch_now(sql, params)

    def fetch_one(self, sql: str, /, **params: object) -> Mapping[str, Any] | None:
        """The first row of a query, or None."""
        rows = self.fetch(sql, **params)
        return rows[0] if rows else None


class Block:
    """What `async with app.transaction()` holds until it ends."""

    __slots__ = ("ended", "handler", "inner", "outer", "store")

    def __init__(self, inner: OpenTransaction, store: Store) -> None:
        self.inner = inner
        self.store = store
        self.ended = False
        self.outer = block.get()
        self.handler = ambient.get()
        """The handler's transaction that it stands in."""


block: ContextVar[Block | None] = ContextVar("penstock_block", default=None)
"""The innermost `app.transaction()` block around the caller."""


def joined_here(store: Store) -> OpenTransaction | None:
    """What joins by itself: the transaction of the handler that runs here, if it is one of this store; of its blocks the innermost."""
    current = ambient.get()
    if current is None or current[0] is not store:
        return None
    around = _around(store)
    return around.inner if around is not None and around.handler is current else current[1]


def _around(store: Store) -> Block | None:
    """The innermost block of this store's that is open. A task may outlive the one that it was started in."""
    held = block.get()
    while held is not None and (held.ended or held.store is not store):
        held = held.outer
    return held


def refuse_waiting_for_itself(store: Store) -> None:
    """A durable write beside a transaction that holds the write lock would wait for the code that waits for it."""
    if not store.one_writer:
        return
    current = ambient.get()
    if current is not None and current[1].started and _same_database(cast(Store, current[0]), store):
        raise ConfigurationError(_OPTED_OUT if current[0] is store else _ANOTHER_APP)
    held = block.get()
    while held is not None:
        if not held.ended and held.inner.started and _same_database(held.store, store):
            raise ConfigurationError(_IN_A_BLOCK)
        held = held.outer


_IN_A_BLOCK = (
    "inside app.transaction(), after its first statement, this would wait for the lock that the transaction holds: "
    "join it with using(tx=tx), or enqueue before"
)
_OPTED_OUT = (
    "using(tx=None) after the first statement of this handler's tx would wait for the lock that the tx holds: "
    "enqueue before it, or let it join by leaving tx= out"
)
_ANOTHER_APP = (
    "after the first statement of this handler's tx another app's verb on the same database would wait for the lock that the tx holds: "
    "use it before, or let one of the handler's own app join"
)


def _same_database(one: Store, other: Store) -> bool:
    return one is other or one.url == other.url


async def _begin(store: Store, *, blocking: bool = False) -> OpenTransaction:
    """A new one; inside another of the same store, a savepoint of it."""
    inner = joined_here(store)
    if inner is None and (around := _around(store)) is not None:
        inner = around.inner
    return store.transaction(blocking=blocking) if inner is None else await inner.savepoint()


class TransactionBlock:
    """`async with app.transaction() as tx`: commits at the end, rolls back on any exception."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def __aenter__(self) -> Transaction:
        store = await self._link.opened()
        self._held = Block(await self._link.run(_begin), store)
        self._token: Token[Block | None] = block.set(self._held)
        return Transaction(self._held.inner, self._link)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        block.reset(self._token)
        self._held.ended = True
        inner = self._held.inner
        await self._link.run(lambda _: inner.rollback() if kind is not None else inner.commit())


class SyncTransactionBlock:
    """`with app.sync.transaction() as tx`: the same for code without a loop."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def __enter__(self) -> SyncTransaction:
        store = self._link.opened_now(_INSTEAD)
        self._held = Block(self._link.call(lambda found: _begin(found, blocking=True), _INSTEAD), store)
        self._token: Token[Block | None] = block.set(self._held)
        return SyncTransaction(self._held.inner, self._link)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        block.reset(self._token)
        self._held.ended = True
        inner = self._held.inner
        self._link.call(lambda _: inner.rollback() if kind is not None else inner.commit(), _INSTEAD)


_INSTEAD = "use `async with app.transaction()`"
