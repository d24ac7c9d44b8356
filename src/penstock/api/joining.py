"""Which transaction a message joins, and the way there.

`using(tx=…)` says it: left out, the transaction of the handler that runs here, else none; None: none, whatever runs here; a
Transaction of this app; or whatever connection the store can join (a Session, a sqlite3.Connection, …).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

from penstock.api.link import Link
from penstock.api.transaction import SyncTransaction, Transaction, block, joined_here, refuse_waiting_for_itself
from penstock.errors import ConfigurationError
from penstock.model.message import Message, Placed
from penstock.ports.store import Store
from penstock.ports.transaction import ForeignConnection, Joined, OpenTransaction, ambient

T = TypeVar("T")

Connection: TypeAlias = object
"""Transaction, sqlite3.Connection, SQLAlchemy Session or AsyncSession: known by type at run time."""


class Ambient:
    """The type of `AMBIENT`."""

    def __repr__(self) -> str:
        return "AMBIENT"


AMBIENT: Final = Ambient()
"""Join the handler's transaction when there is one; `tx=None` opts out."""


async def put(link: Link, store: Store, messages: Sequence[Message], tx: Connection | None) -> list[Placed]:
    """Durable when it returns, or with the transaction joined."""
    return await write(link, store, tx, Write(lambda home: home.queue.put(messages), lambda joined: joined.put(messages)))


def put_now(link: Link, store: Store, messages: Sequence[Message], tx: Connection | None, instead: str) -> list[Placed]:
    """The same on a thread without a loop. What joins is written by this very thread."""
    verb = SyncWrite[list[Placed]](lambda home: home.queue.put(messages), lambda joined: joined.put_now(messages))
    return write_now(link, store, tx, verb, instead)


@dataclass(frozen=True)
class Write(Generic[T]):
    """One write, by the store itself and in a transaction."""

    alone: Callable[[Store], Awaitable[T]]
    joined: Callable[[Joined], Awaitable[T]]


@dataclass(frozen=True)
class SyncWrite(Generic[T]):
    """The same for a thread without a loop."""

    alone: Callable[[Store], Awaitable[T]]
    joined: Callable[[Joined], T]


async def write(link: Link, store: Store, tx: Connection | None, verb: Write[T]) -> T:
    target = _target(link, store, tx)
    if target is None:
        if link.store_here() is store:
            return await verb.alone(store)
        return await link.run(verb.alone)
    joined, ours = target
    if not ours or link.store_here() is store:
        return await verb.joined(joined)
    return await link.run(lambda _: verb.joined(joined))


def write_now(link: Link, store: Store, tx: Connection | None, verb: SyncWrite[T], instead: str) -> T:
    target = _target(link, store, tx)
    if target is None:
        return link.call(verb.alone, instead)
    joined, ours = target
    if not ours:
        _refuse_async(link.foreign(tx), tx, instead)
    return verb.joined(joined)


def _refuse_async(foreign: object, tx: Connection | None, instead: str) -> None:
    if isinstance(foreign, ForeignConnection) and foreign.awaits:
        raise ConfigurationError(f"using(tx={type(tx).__name__}).sync: this connection is async: {instead}")


def alone() -> bool:
    """No transaction of ours is open around the caller, of whatever app."""
    return ambient.get() is None and block.get() is None


def joins(tx: Connection | None) -> bool:
    """A message that was put with this may still be rolled back."""
    return tx is not None and (tx is not AMBIENT or ambient.get() is not None)


def _target(link: Link, store: Store, tx: Connection | None) -> tuple[Joined, bool] | None:
    """What to join, and whether it is a transaction of ours, which lives on the home loop."""
    if tx is AMBIENT:
        inner = joined_here(store)
        if inner is not None:
            return inner, True
    if tx is AMBIENT or tx is None:
        refuse_waiting_for_itself(store)
        return None
    if isinstance(tx, (Transaction, SyncTransaction)):
        return _own(link, tx), True
    return store.join(link.foreign(tx)), False


def _own(link: Link, tx: Transaction | SyncTransaction) -> OpenTransaction:
    if tx._link is not link:  # pyright: ignore[reportPrivateUsage]
        raise ConfigurationError("using(tx=…): this transaction belongs to another app, whose store is another database")
    return tx._inner  # pyright: ignore[reportPrivateUsage]
