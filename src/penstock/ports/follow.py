"""Following a job from outside: how far it is, and that it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct


class Report(Struct, frozen=True):
    """What the handler of one delivery said last."""

    seq: int
    fraction: float
    note: str


class Told(Protocol):
    """An `asyncio.Event`."""

    def is_set(self) -> bool: ...

    def clear(self) -> None: ...

    async def wait(self) -> object: ...


class Follow(Protocol):
    """What nobody waits for costs its settle nothing: who waits says so, and only then is rung."""

    def watch(self, job_id: str) -> AbstractAsyncContextManager[Told]:
        """Inside the block the event is set once the job is done or a dead letter; at once, if it has ended or is not there.

        A hint: look then, and look now and then all the same. Other ends, a crash, or a store that cannot be written ring nobody.
        """
        ...

    async def tell(self, owner: int, reports: Sequence[Report]) -> None:
        """Keep how far these are; fenced: of what `owner` does not hold any more nothing is kept."""
        ...
