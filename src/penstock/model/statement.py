"""Writes as values.

A write is a *program*: a generator that yields statements, is sent their rows, and returns its result. It does no I/O and
knows no driver, so the same program runs on the store's own writer, in a handler's transaction and in a connection that a user
brought: an *executor* per connection kind drives it, sync or async.

    def put(messages) -> Program[list[Placed]]:
        rows = yield Statement("put_messages", ...)
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct

T = TypeVar("T")

Row: TypeAlias = Sequence[Any]
Rows: TypeAlias = Sequence[Row]


class Statement(Struct, frozen=True, gc=False):
    """A named SQL statement and its parameters, or the rows of its values list: flat, `width` values a row. Both only
    on PostgreSQL."""

    name: str
    params: Mapping[str, Any] | None = None
    values: Sequence[Any] | None = None
    width: int = 0


Program: TypeAlias = Generator[Statement, Rows, T]
