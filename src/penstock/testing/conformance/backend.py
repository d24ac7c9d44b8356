"""What a store brings to be tested: handles, time, and connections of a user's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from msgspec import Struct

from penstock.ports.capabilities import Capabilities
from penstock.ports.store import Store

Where: TypeAlias = Literal["here", "elsewhere", "careless"]
"""A connection to the store's own database, to another one, or to its own with a weaker durability than the store promises."""


class Setup(Struct, frozen=True):
    """How a handle is made."""

    limits: Mapping[str, int] = {}
    """`max_waiting` by queue."""
    patience: float = 5.0
    """Seconds that a put waits for room."""
    tx_limit: float = 5.0
    """Seconds that a transaction may stay open."""


class UserConnection(Protocol):
    """A driver's connection, as a user would have it. Blocking; it may be used from one thread at a time."""

    @property
    def driver(self) -> object:
        """What `Store.join` is given."""
        ...

    def execute(self, sql: str) -> Sequence[Sequence[Any]]:
        """The first one of a transaction begins it."""
        ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None: ...


class Backend(Protocol):
    """One empty store for one test. Its time stands still until it is moved."""

    @property
    def capabilities(self) -> Capabilities: ...

    def make(self, setup: Setup) -> Store:
        """Another handle on the same store, as another process would have it. Not opened."""
        ...

    def advance(self, seconds: float) -> None:
        """Move the time of all handles."""
        ...

    def set_wall(self, seconds: float) -> None:
        """Set the machine's wall clock, forward or back; no time passes. A store whose time is its server's has nothing to do."""
        ...

    def cut(self) -> None:
        """Break all connections that its handles have to the store. One without any has nothing to do."""
        ...

    def connect(self, where: Where) -> UserConnection: ...
