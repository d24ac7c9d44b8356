"""Executors: each drives a program over one kind of connection. The library knows what a statement is for its driver."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from penstock.model.statement import Program, Rows
from penstock.stores.sql.library import Library

T = TypeVar("T")

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
            rows = _NOTHING
            for text, params in library.calls(statement):
                more = run(text, params)
                rows = [*rows, *more] if rows else more
            statement = program.send(rows)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


async def drive_async(program: Program[T], library: Library, run: AsyncRun) -> T:
    """The same on a connection that is awaited."""
    try:
        statement = next(program)
        while True:
            rows = _NOTHING
            for text, params in library.calls(statement):
                more = await run(text, params)
                rows = [*rows, *more] if rows else more
            statement = program.send(rows)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
