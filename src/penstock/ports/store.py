"""The truth: one SQLite file or one PostgreSQL schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from penstock.model.clock import Clock
from penstock.model.log import Holder
from penstock.ports.follow import Follow
from penstock.ports.inspect import Inspect, Settings
from penstock.ports.leases import Leases
from penstock.ports.log import Log
from penstock.ports.queue import Queue
from penstock.ports.schedules import Schedules
from penstock.ports.transaction import Joined, OpenTransaction

Durability: TypeAlias = Literal["power", "process", "inherit"]


class Schema(Struct, frozen=True):
    """What is in the store, and what this release needs. `found` 0: nothing yet."""

    found: int
    compatible: int
    needed: int
    half: bool = False
    """A copy of another store that has not come to its end: nobody may use it."""


class Store(Protocol):
    """Backends belong to a process: after a fork the child opens its own."""

    @property
    def url(self) -> str:
        """Masked: fit to be printed."""
        ...

    @property
    def one_writer(self) -> bool:
        """A transaction that has written makes all other writes of the store wait until it ends."""
        ...

    @property
    def clock(self) -> Clock: ...

    @property
    def queue(self) -> Queue: ...

    @property
    def log(self) -> Log: ...

    @property
    def leases(self) -> Leases: ...

    @property
    def schedules(self) -> Schedules: ...

    @property
    def inspect(self) -> Inspect: ...

    @property
    def settings(self) -> Settings: ...

    @property
    def follow(self) -> Follow: ...

    async def open(self, *, migrate: bool = True) -> None:
        """Open, and bring the schema up to date if allowed. Raises StoreError."""
        ...

    async def close(self) -> None:
        """Write what was accepted, then let go of every handle. Idempotent."""
        ...

    def transaction(self, *, shared: bool = False, blocking: bool = False) -> OpenTransaction:
        """A new one; it begins at its first statement.

        `shared`: its commit may be another's too, and fail with it. For who can be run again: a handler. `blocking`: its
        user runs on a thread, and wants a connection to use there."""
        ...

    async def check_transactions(self, *, blocking: bool) -> None:
        """Raises ConfigurationError for a program whose handlers would get none, or one on another database."""
        ...

    def join(self, connection: object) -> Joined:
        """Writes on a user's connection. Raises ConfigurationError: another store, a weaker durability, unknown kind; CapabilityMissing
        where there is no such thing."""
        ...

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` on the running loop when a commit here or elsewhere may have brought work. Returns the undo.

        Messages that were put may not be there yet for who reads; a claim that is made from then on finds them.
        """
        ...


class Facts(Struct, frozen=True):
    """What an operator wants to know of a store before anything else."""

    engine: str
    """Name and version of the database."""
    place: str
    sizes: dict[str, int]
    """Bytes by what they are for."""
    warnings: tuple[str, ...] = ()


class Administration(Protocol):
    """The store from outside, for commands: synchronous, and never creates anything by looking."""

    @property
    def exists(self) -> bool:
        """There is something to look at (SQLite: the file)."""
        ...

    def facts(self) -> Facts: ...

    def schema(self) -> Schema: ...

    def migrate(self) -> Schema: ...

    def script(self) -> str:
        """The SQL of what `migrate` would do, to be run by somebody else in one transaction. Empty: nothing is missing."""
        ...

    def live(self) -> bool:
        """The store answers. Raises StoreError: why it does not."""
        ...

    def held_back(self) -> Holder | None:
        """Who holds the feeds back the most now. None: nobody does."""
        ...

    def ready(self) -> str | None:
        """None, or why no work can be done now (damage that a glance shows, no schema, no worker that beats, nothing writable)."""
        ...
