"""Who is alive, and whose work is taken back."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from penstock.model.limit import Limit

MAINTENANCE = "maintenance"
"""The role of whoever keeps house for the whole store."""


class Enrolment(Struct, frozen=True):
    """A worker process as it enters the registry."""

    incarnation: int
    """Random, 63 bits, made by the process: the fence of everything it claims."""
    app: str
    name: str
    pid: int
    host: str
    queues: tuple[str, ...]
    tasks: tuple[str, ...]
    hooks: tuple[str, ...] = ()
    """Those of `tasks` that have an `on_dead` hook."""
    lease: int = 15_000_000
    """µs that its beat may stand still before others declare it dead."""
    wishes: tuple[tuple[str, tuple[str, ...] | None], ...] = ()
    """Of its subscriptions, the event types that it asks for; None: all."""
    limits: tuple[Limit, ...] | None = None
    """Of queues, as its code says: instead of all that this app said before. None: what was said before holds."""


class Seen(Struct, frozen=True):
    """Another worker as the registry has it. `gone`: known to be dead already (its lock file is free)."""

    incarnation: int
    beat: int
    gone: bool
    lease: int = 15_000_000
    """µs: its own, not the rescuer's."""


class Rescued(Struct, frozen=True):
    """What was taken back from a dead worker."""

    incarnation: int
    released: int
    dead: int
    """Messages whose third worker this was: now dead letters."""


class Leases(Protocol):
    """Leases belong to worker incarnations, not to messages."""

    async def enrol(self, worker: Enrolment) -> None:
        """Enter the registry, and hold the proof of life (SQLite: a locked file).

        A hook lasts while one live worker declares it, or none knows its task: so a release that lacks it takes it away only when
        the last worker that has it has left.
        """
        ...

    def beat_now(self, incarnation: int, blocked: str = "") -> bool:
        """Blocks the calling thread: the beats must not depend on the event loop.

        `blocked`: what its loop has been doing for too long, a stack; it stands in its `WorkerView` until a beat without it.
        False: this incarnation was declared dead. It must stop, whatever it holds is another's.
        """
        ...

    async def others(self, incarnation: int) -> list[Seen]:
        """All other workers in the registry."""
        ...

    async def rescue(self, incarnation: int, beat: int) -> Rescued | None:
        """Declare it dead if its beat is still `beat`, and free all it held, each with one death more. None: it lives."""
        ...

    async def leave(self, incarnation: int) -> None:
        """Leave the registry in good order; what is still held is released uncounted. One that was declared dead is in it no more:
        then only its proof of life goes."""
        ...

    async def lead(self, role: str, incarnation: int, lease: int) -> bool:
        """Take or keep the lease of a role (`maintenance`) for `lease` µs. False: another live worker has it."""
        ...

    async def elsewhere(self, incarnation: int) -> list[str]:
        """Queues that are not its own, in which messages of its tasks wait and nobody else takes them.

        Enrolled on this handle. Costs little whatever waits: one behind thousands may be found only after some looks.
        """
        ...
