"""What the threads that write work with."""

from __future__ import annotations

import sqlite3
from typing import Protocol, TypeVar

from msgspec import Struct

from penstock.model.statement import Program, Rows
from penstock.ports.signals import Signals
from penstock.stores.sql.dialect import Dialect
from penstock.stores.sql.library import Library
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite.checkpoint import Checkpointer
from penstock.stores.sqlite.clock import StoreClock
from penstock.stores.sqlite.writelock import WriteLock

T = TypeVar("T")


class Bells(Protocol):
    """Whom a commit concerns."""

    def ring(self) -> None:
        """It may have brought work."""
        ...

    def ring_aside(self) -> None:
        """The same, without waiting for it."""
        ...

    def can_ring_aside(self) -> bool:
        """There is a thread that does."""
        ...

    def tell(self, heard: Rows) -> None:
        """(job, bell): what it ended, and who waits for that."""
        ...


class Access(Struct, frozen=True):
    """Each thread has its own: locks are one thread's."""

    path: str
    library: Library
    dialect: Dialect
    clock: StoreClock
    signals: Signals
    lock: WriteLock
    power: bool
    """Commits that must survive power loss are synced."""
    checkpointer: Checkpointer
    bells: Bells

    def drive(self, connection: sqlite3.Connection, program: Program[T]) -> T:
        """Run a program to its end on this connection."""
        return connections.drive(connection, program, self.library)
