"""What the threads that write work with."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from penstock.model.clock import Clock
from penstock.ports.signals import Signals
from penstock.stores.sql.library import Library
from penstock.stores.sqlite.checkpoint import Checkpointer
from penstock.stores.sqlite.writelock import WriteLock


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
    committed: Callable[[], None]
    """Called after each group that may have brought work."""
