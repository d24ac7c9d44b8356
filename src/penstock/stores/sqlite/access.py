"""What the threads that write work with."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from penstock.model.clock import Clock
from penstock.model.statement import Rows
from penstock.ports.signals import Signals
from penstock.stores.sql.library import Library
from penstock.stores.sqlite.checkpoint import Checkpointer
from penstock.stores.sqlite.writelock import WriteLock


class Bells(Protocol):
    """After a commit."""

    def ring(self) -> None:
        """It may have brought work."""
        ...

    def tell(self, heard: Rows) -> None:
        """(job, bell): what it ended, and who waits for that."""
        ...


class Access(Struct, frozen=True):
    """Each thread has its own: locks are one thread's."""

    path: str
    library: Library
    clock: Clock
    signals: Signals
    lock: WriteLock
    power: bool
    """Commits that must survive power loss are synced."""
    checkpointer: Checkpointer
    bells: Bells
