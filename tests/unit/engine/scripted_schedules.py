"""A calendar that does what a test tells it to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence

from penstock.model.schedule import Due, Firing, Identity, Schedule
from penstock.ports.schedules import Look


class ScriptedSchedules:
    """`dues` by their next slot; a firing moves them."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self.dues: list[Due] = []
        self.crew: tuple[int, ...] = (1,)
        self.any = True
        self.looks = 0
        self.reviews: list[tuple[int, ...]] = []
        self.fired: list[Firing] = []
        self.parts: list[Sequence[Firing]] = []
        """The same, by transactions."""
        self.fire_errors: deque[Exception] = deque()
        self.declare_errors: deque[Exception] = deque()
        self.declared: list[tuple[int, str, Sequence[Schedule]]] = []
        self._tell = tell

    async def declare(self, incarnation: int, app: str, schedules: Sequence[Schedule]) -> None:
        if self.declare_errors:
            raise self.declare_errors.popleft()
        self.declared.append((incarnation, app, schedules))

    async def look(self, without: Collection[Identity] = ()) -> Look:
        self.looks += 1
        self._tell()
        return Look(min((due.next for due in self.dues if due.identity not in without), default=None), self.crew, self.any)

    async def review(self) -> None:
        self.reviews.append(self.crew)
        self._tell()

    async def due(self, limit: int, without: Collection[Identity] = ()) -> Sequence[Due]:
        return sorted((due for due in self.dues if due.identity not in without), key=lambda due: due.next)[:limit]

    async def fire(self, firings: Sequence[Firing]) -> list[str]:
        if self.fire_errors:
            raise self.fire_errors.popleft()
        self.fired += firings
        self.parts.append(firings)
        self.dues = [due for due in self.dues if due not in [firing.due for firing in firings]]
        self._tell()
        return [message.id for firing in firings for message in firing.messages]
