"""Reading a whole file, as a copy does: one read transaction, that holds up nobody."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from penstock.errors import StoreCorrupt, StoreUnavailable
from penstock.ports.copying import Kind, Sight, Table, Values
from penstock.stores.sql.tables import TABLES, census, sums
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite.failures import translated
from penstock.stores.sqlite.files import Folder
from penstock.stores.sqlite.places import place

_COLUMNS: Mapping[tuple[str, str], str] = {
    ("event", "pos"): "place & 1099511627775",
    ("message", "ref_topic"): "ref >> 40",
    ("message", "ref"): "ref & 1099511627775",
    ("missed", "events"): "last - first + 1",
}
"""What this dialect keeps in another way."""
_STREAMS = "(select topic, key, max(version) as version from penstock_event where version is not null group by topic, key)"
_MARKS: Mapping[str, str] = {
    "message": "select seq from sqlite_sequence where name = 'penstock_message'",
    "attempt": "select max(n) from penstock_attempt",
    "missed": "select max(n) from penstock_missed",
    "topic": "select max(number) from penstock_topic",
    "event": "select max(next) - 1 from penstock_topic",
}


class SqliteSource:
    """Implements `ports.copying.Source`."""

    def __init__(self, path: str) -> None:
        self._folder = Folder(path)
        self._connection: sqlite3.Connection | None = None

    @property
    def url(self) -> str:
        return f"sqlite:///{self._folder.database}"

    async def open(self) -> str:
        self._connection = connections.connect_readonly(self._folder.database)
        found = self._ask("select value from penstock_meta where name = 'store_id'")
        if not found:
            raise StoreCorrupt(f"{self.url}: its schema has no store_id; restore a backup")
        return str(found[0][0])

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    async def living(self) -> Sequence[str]:
        found = self._ask("select incarnation, name, pid, host from penstock_worker order by started")
        return [f"{name} (pid {pid} on {host})" for incarnation, name, pid, host in found if not self._folder.died(incarnation)]

    async def look(self) -> Sight:
        if self._opened().in_transaction:
            self._ask("rollback")
        self._ask("begin")
        counted = census([(table, self._ask(_count(table))) for table in TABLES])
        marks = {name: rows[0][0] or 0 if (rows := self._ask(sql)) else 0 for name, sql in _MARKS.items()}
        topics = {str(number): name for number, name in self._ask("select number, name from penstock_topic")}
        return Sight(counted, marks, topics)

    async def rows(self, table: Table, after: Sequence[int | str] | None) -> AsyncGenerator[Values, None]:
        shape = _shape(table)
        sql, params = _read(table, after)
        try:
            for row in self._opened().execute(sql, params):
                yield shape(row)
        except sqlite3.Error as error:
            raise translated(error, f"read {table.label} of {self.url}") from error

    def _ask(self, sql: str) -> list[Any]:
        try:
            return self._opened().execute(sql).fetchall()
        except sqlite3.Error as error:
            raise translated(error, f"look into {self.url}") from error

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreUnavailable(f"{self.url} is not open")
        return self._connection


def _count(table: Table) -> str:
    numbers = sums([(_column(table, column.name), column.kind) for column in table.columns])
    if table.by is None:
        return f"select '', count(*), {', '.join(numbers)} from {_from(table)}" if numbers else f"select '', count(*) from {_from(table)}"
    return f"select {table.by}, count(*), {', '.join(numbers)} from {_from(table)} group by {table.by}"


def _read(table: Table, after: Sequence[int | str] | None) -> tuple[str, Sequence[int | str]]:
    columns = ", ".join(_column(table, column.name) for column in table.columns)
    key = "place" if table.name == "event" else ", ".join(table.key)
    if after is None:
        return f"select {columns} from {_from(table)} order by {key}", ()
    if table.name == "event":
        after = [place(int(after[0]), int(after[1]))]
    marks = ", ".join("?" * len(after))
    return f"select {columns} from {_from(table)} where ({key}) > ({marks}) order by {key}", after


def _from(table: Table) -> str:
    return _STREAMS if table.name == "stream" else f"penstock_{table.name}"


def _column(table: Table, name: str) -> str:
    return _COLUMNS.get((table.name, name), name)


_SHAPES: Mapping[Kind, Callable[[Any], Any]] = {"bool": bool, "real": float}


def _shape(table: Table) -> Callable[[Values], Values]:
    """Values as types have them that are stricter than SQLite's."""
    changed = [(n, _SHAPES[column.kind]) for n, column in enumerate(table.columns) if column.kind in _SHAPES]
    if not changed:
        return tuple

    def shape(row: Values) -> Values:
        values = list(row)
        for n, change in changed:
            values[n] = change(values[n])
        return tuple(values)

    return shape
