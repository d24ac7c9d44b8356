"""Executors: each drives a program over one kind of connection.

A rows list goes out in statements of 256, 64, 16, 4 and 1 rows, so that each text is prepared once and found again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar

from penstock.model.statement import Program, Rows, Statement
from penstock.stores.sql.library import Library

T = TypeVar("T")

_SIZES = (256, 64, 16, 4, 1)
_NOTHING: Rows = ()


class SyncRun(Protocol):
    """Run one SQL text; its rows, if it has any."""

    def __call__(self, sql: str, params: Any, /) -> Rows: ...


class AsyncRun(Protocol):
    async def __call__(self, sql: str, params: Any, /) -> Rows: ...


def drive(program: Program[T], library: Library, run: SyncRun) -> T:
    """Run a program to its end on a blocking connection."""
    try:
        statement = next(program)
        while True:
            if statement.values is None:
                rows = run(library[statement.name], statement.params or _NOTHING)
            else:
                rows = _NOTHING
                for text, params in chunks(library, statement):
                    run(text, params)
            statement = program.send(rows)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


async def drive_async(program: Program[T], library: Library, run: AsyncRun) -> T:
    """The same on a connection that is awaited."""
    try:
        statement = next(program)
        while True:
            rows = _NOTHING
            if statement.values is None:
                rows = await run(library[statement.name], statement.params or _NOTHING)
            else:
                for text, params in chunks(library, statement):
                    await run(text, params)
            statement = program.send(rows)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def chunks(library: Library, statement: Statement) -> Iterator[tuple[str, Sequence[Any]]]:
    values, width = statement.values or (), statement.width
    left, start = len(values) // width, 0
    for size in _SIZES:
        while left >= size:
            end = start + size * width
            yield library.filled(statement.name, size, width), values[start:end]
            start, left = end, left - size
