"""What takes several transactions, one after the other.

A course yields steps and is sent their results, as a program yields statements and is sent their rows. What a step has committed stays,
whatever becomes of the next one, so whoever drives it throws an error into it and lets it say what that leaves.

    def claim(ask) -> Course[Claimed]:
        sight = yield Step(partial(look, ask), single=True)
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct

from penstock.model.statement import Program

T = TypeVar("T")


class Step(Struct, frozen=True):
    make: Callable[[int], Program[Any]]
    """Given the store's time. May be made and run again."""
    single: bool = False
    """It is one statement, or one that is asked again: it needs no `begin` and no `commit` around it."""


Course: TypeAlias = Generator[Step, Any, T]


def at_once(course: Course[T], now: int) -> Program[T]:
    """All steps in one transaction. It may then wait for another one in a circle, and be ended by the server."""
    try:
        step = next(course)
        while True:
            step = course.send((yield from step.make(now)))
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
