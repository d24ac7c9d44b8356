"""Moving house: a store that is read as a whole, and a new one that takes all of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from msgspec import Struct

Kind: TypeAlias = Literal["int", "text", "bool", "bytes", "real"]
Values: TypeAlias = tuple[Any, ...]
"""A row, in the order of its table's columns."""

Begun: TypeAlias = Literal["new", "resumed", "anew", "finished"]
"""`anew`: the source has changed since, so that what was copied is gone. `finished`: nothing was left to do."""


class Column(Struct, frozen=True):
    name: str
    kind: Kind


class Table(Struct, frozen=True):
    """What every store has, under the same names."""

    name: str
    label: str
    """What an operator calls its rows."""
    key: Sequence[str]
    """By which it is read in order; integers and texts."""
    columns: Sequence[Column]
    by: str | None = None
    """The column by which its rows are counted."""


class Sums(Struct, frozen=True):
    """Of the rows of a table: how many, and over each column of numbers. What changes in a store changes a number."""

    rows: int
    numbers: Sequence[int]


Census: TypeAlias = Mapping[tuple[str, str], Sums]
"""By table, and value of the column by which it is counted (empty where it has none). Without what has no rows."""


class Sight(Struct, frozen=True):
    """A store at one moment."""

    census: Census
    marks: Mapping[str, int]
    """The highest number ever given, by the table whose rows are numbered."""
    topics: Mapping[str, str]
    """Names by number."""


class Origin(Struct, frozen=True):
    """What is copied: which store, and how it was."""

    store_id: str
    url: str
    """Masked."""
    print: str
    """Of a sight."""


class Done(Struct, frozen=True):
    """How far a table is copied."""

    after: Sequence[int | str] | None = None
    """The key of its last row."""
    rows: int = 0
    over: bool = False


class Source(Protocol):
    """Reads only."""

    @property
    def url(self) -> str:
        """Masked."""
        ...

    async def open(self) -> str:
        """Returns the store's id. Raises StoreError."""
        ...

    async def close(self) -> None: ...

    async def living(self) -> Sequence[str]:
        """Workers that are not dead for certain, in words."""
        ...

    async def look(self) -> Sight:
        """From now on everything is read as it is at this moment."""
        ...

    def rows(self, table: Table, after: Sequence[int | str] | None) -> AsyncGenerator[Values, None]:
        """In the order of the key, as they were at the moment of the last look."""
        ...


class Target(Protocol):
    """Closed to everybody else from `begin` to `finish`, whatever happens between."""

    @property
    def url(self) -> str:
        """Masked."""
        ...

    async def open(self) -> str:
        """Returns the store's id, empty if nothing is there yet. Changes nothing. Raises StoreError."""
        ...

    async def close(self) -> None: ...

    async def begin(self, origin: Origin, marks: Mapping[str, int]) -> tuple[Begun, Mapping[str, Done]]:
        """Makes the tables if there are none. Where to go on, by table. Raises ConfigurationError for a store that is neither empty nor a
        copy of that one: it stays as it is."""
        ...

    async def keep(self, table: Table, rows: Sequence[Values], was: Done, done: Done) -> None:
        """In one transaction: the rows, and that they are here. Raises StoreUnavailable if `was` is not so any more."""
        ...

    async def census(self) -> Census: ...

    async def finish(self, origin: Origin, done: Mapping[str, Done]) -> None:
        """Open it to everybody. Raises StoreUnavailable if it is another copy's by now, and not as `done` says."""
        ...
