"""The calendar: what is due by itself, and when."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from msgspec import Struct

from penstock.model.schedule import Due, Firing, Identity, Schedule, ScheduleView


class Look(Struct, frozen=True):
    """What a scheduler has to know each second; cheap, however many schedules there are."""

    next: int | None
    """µs: the next slot of all schedules that a live worker declares, but for those left out."""
    crew: tuple[int, ...]
    """The workers in the registry: when they change, definitions may."""
    any: bool
    """There are schedules, or have been."""


class Schedules(Protocol):
    """A schedule belongs to (app, name). It fires while a live worker declares it, as the newest release among those says.

    A definition that the store has not seen before is newer than all it has; one that comes back has its old place. What of
    it is new takes effect at once: other times count from now on, and slots of the old ones that have not fired are dropped.
    """

    async def declare(self, incarnation: int, app: str, schedules: Sequence[Schedule]) -> None:
        """This worker, which is enrolled, has these. Durable. Once for each incarnation; they end with it."""
        ...

    async def look(self, without: Collection[Identity] = ()) -> Look: ...

    async def review(self) -> None:
        """Take the newest definition that a live worker declares, schedule by schedule. After the crew has changed."""
        ...

    async def due(self, limit: int, without: Collection[Identity] = ()) -> Sequence[Due]:
        """Those whose slot has come, the longest due first; none of `without`, which take no place in `limit`."""
        ...

    async def fire(self, firings: Sequence[Firing]) -> list[str]:
        """Move each schedule to its next slot if it is still as it was seen, and put its messages: all in one transaction,
        durable. What another has fired, changed or paused meanwhile is left alone. Returns the ids of the jobs put."""
        ...

    async def views(self) -> Sequence[ScheduleView]:
        """All, by app and name; leftovers too."""
        ...

    async def run_now(self, app: str, name: str, job_id: str) -> None:
        """Put its job once, under this id; its slots stay as they are. Raises NotFound."""
        ...

    async def pause(self, app: str, name: str, by: str) -> None:
        """When it returns nothing fires any more. Slots pass unfired. Raises NotFound."""
        ...

    async def resume(self, app: str, name: str) -> None:
        """From the next slot on; those that passed are over, whatever `missed` says. Raises NotFound."""
        ...
