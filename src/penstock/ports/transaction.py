"""An open database transaction that Penstock's writes can join."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar, runtime_checkable

from msgspec import Struct

from penstock.model.delivery import Settlement
from penstock.model.log import Append, Event, TopicSpec
from penstock.model.message import Message, Placed

T = TypeVar("T")

AUTOCOMMITS = (
    "using(tx=…): this connection commits each statement by itself, so a rollback would leave what joined it; "
    'leave isolation_level="AUTOCOMMIT" out of the engine, or begin a transaction on the connection'
)


@runtime_checkable
class ForeignConnection(Protocol):
    """A connection or session of the user's, as an integration wraps it for `Store.join`."""

    @property
    def driver(self) -> str:
        """What speaks to the database: `sqlite3`, `aiosqlite`, `asyncpg`, `psycopg`, … It says how parameters are marked."""
        ...

    @property
    def awaits(self) -> bool:
        """Only `run_async` works."""
        ...

    def run(self, sql: str, params: Any) -> Sequence[Sequence[Any]]:
        """Run one statement in the user's transaction; its rows."""
        ...

    async def run_async(self, sql: str, params: Any) -> Sequence[Sequence[Any]]: ...

    def wire(self) -> object:
        """The driver's connection: one object, for as long as it is connected."""
        ...

    async def wire_async(self) -> object: ...

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call it once when the user's transaction has committed, if the connection can tell."""
        ...


class Answer(Struct, frozen=True):
    """To a statement of the user's."""

    rows: list[Mapping[str, Any]]
    changed: int
    """As the driver counts: -1 for statements that are not there to change rows."""


@runtime_checkable
class LentConnection(ForeignConnection, Protocol):
    """One that a test lends to its app, which then runs its jobs there."""

    def named(self, sql: str, params: Any) -> Answer:
        """As `run`: the rows by column name, and how many it changed."""
        ...

    async def named_async(self, sql: str, params: Any) -> Answer: ...


class Stranger(Struct, frozen=True):
    """A connection that the store did not make: it has to be asked which database it is open on."""

    connection: object
    """The driver's: one object, for as long as it is connected."""
    place: str
    """Fit to be printed."""


class Carrier(Protocol):
    """One database transaction in some library's hands, for the store to begin, to use and to end: `App(transactions=engine)`."""

    @property
    def driver(self) -> str:
        """It says how parameters are marked."""
        ...

    @property
    def connection(self) -> Any:
        """The library's own, once it has begun: what `tx.connection` is."""
        ...

    @property
    def broken(self) -> bool:
        """The way to the database is gone, and the transaction with it."""
        ...

    @property
    def ended(self) -> bool:
        """Somebody else has ended the transaction, on `connection`. Asks the driver, not the server."""
        ...

    async def begin(self, settings: Mapping[str, str]) -> Stranger | None:
        """Take a connection and begin, with these settings until it ends. None: the connection is the store's own.

        Raises ConfigurationError where each statement would be committed by itself."""
        ...

    async def run(self, sql: str, params: Any) -> Sequence[Sequence[Any]]: ...

    async def fetch(self, sql: str, params: Any) -> list[Mapping[str, Any]]:
        """The rows, by column name."""
        ...

    async def execute(self, sql: str, params: Any) -> int:
        """Rows changed; -1 for statements that are not there to change rows."""
        ...

    async def commit(self) -> None:
        """Gives the connection back, if it raises nothing."""
        ...

    async def rollback(self) -> None:
        """Gives the connection back. Never raises."""
        ...


class Loan(Protocol):
    """The connection of a transaction that a store has begun, for a library that speaks on it in its own words."""

    async def use(self, work: Callable[[Any], T]) -> T:
        """Run it with the driver's connection, where that lives."""
        ...

    def use_now(self, work: Callable[[Any], T]) -> T:
        """The same, blocking the calling thread (never the loop's)."""
        ...


class Guest(Protocol):
    """That library, in one transaction."""

    @property
    def connection(self) -> Any:
        """What it calls a connection: `tx.connection`."""
        ...

    def leave(self) -> None:
        """The transaction has ended."""
        ...


class Joined(Protocol):
    """Writes on a connection that somebody else commits (a Session, a sqlite3.Connection, …)."""

    async def put(self, messages: Sequence[Message]) -> list[Placed]:
        """Visible and durable when, and only if, the transaction commits."""
        ...

    def put_now(self, messages: Sequence[Message]) -> list[Placed]:
        """The same on the calling thread. Raises ConfigurationError where the connection is async."""
        ...

    async def publish(self, topic: TopicSpec, events: Sequence[Event]) -> list[Placed]: ...

    def publish_now(self, topic: TopicSpec, events: Sequence[Event]) -> list[Placed]: ...

    async def append(self, append: Append) -> int:
        """As `Log.append`: the version that the key has when this transaction commits. Raises VersionConflict."""
        ...

    def append_now(self, append: Append) -> int: ...


class OpenTransaction(Joined, Protocol):
    """A transaction that the store opened: for a handler, or for `app.transaction()`.

    It begins at its first statement. What is put or published under ids that nobody gave is kept back and written just before
    the commit, in one go. One lock serialises everybody who uses it; after its end everything raises TransactionClosed.
    """

    @property
    def connection(self) -> Any:
        """The driver's own connection."""
        ...

    @property
    def started(self) -> bool:
        """A statement has run, and it has not ended: it may hold locks."""
        ...

    @property
    def refused(self) -> bool:
        """The store could not begin it, through no fault of its user."""
        ...

    async def execute(self, sql: str, params: Mapping[str, object]) -> int:
        """Rows changed."""
        ...

    async def fetch(self, sql: str, params: Mapping[str, object]) -> list[Mapping[str, Any]]: ...

    def execute_now(self, sql: str, params: Mapping[str, object]) -> int:
        """As `execute`, blocking the calling thread (never the loop's)."""
        ...

    def fetch_now(self, sql: str, params: Mapping[str, object]) -> list[Mapping[str, Any]]: ...

    async def savepoint(self) -> OpenTransaction:
        """A nested one: its commit releases, its rollback rolls back to here. Those beside each other take turns.

        Waits while another task has one open beside it; TransactionClosed if the transaction ends meanwhile. Raises
        ConfigurationError for the task that has it open itself: it would wait for itself.
        """
        ...

    async def commit(self, settle: tuple[int, Sequence[Settlement]] | None = None, *, alone: bool = False) -> None:
        """Write what was kept back, settle the deliveries (owner, settlements) as the last statement, commit.

        Raises LeaseLost, with everything rolled back, if `owner` does not hold all of them any more. To its end, whoever stops
        waiting for it; `alone`: nobody does, so it needs no task of its own.
        """
        ...

    async def rollback(self) -> None: ...


ambient: ContextVar[tuple[object, OpenTransaction] | None] = ContextVar("penstock_transaction", default=None)
"""The store and the transaction of the handler that is running, set only for handlers that asked for `tx`."""
