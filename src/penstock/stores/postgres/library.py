"""Named statements as PostgreSQL's drivers want them: `$1` for asyncpg, `%(name)s` for psycopg and SQLAlchemy over it.

- `unnest(:rows(text, bigint))` stands for the rows that a `Statement` brings: one array a column goes out, so one text and one
  round trip serve any number of rows.
- Texts name the schema `penstock.`; a tenant's own is put in its place once, at load.
- A list of numbers or texts in `params` is JSON text; a statement reads it as `:seqs::text::jsonb`, which needs no codec of any driver.
  Those of many alike messages are texts that cost less to read: lines, and the text of an array.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from penstock.model.statement import Statement
from penstock.stores.sql.library import Library, blocks

Driver: TypeAlias = Literal["asyncpg", "psycopg"]

SCHEMA = "penstock"
_ROWS = re.compile(r":rows\(([^)]*)\)")
_MARK = re.compile(r"(?<!:):(\w+)")
_SCHEMA = re.compile(rf"\b{SCHEMA}\.")


class _Text(Struct, frozen=True):
    sql: str
    names: tuple[str, ...]
    """Of its parameters, in the order of their marks."""


class PostgresLibrary(Library):
    """SQL texts by name, in one driver's language."""

    def __init__(self, texts: Mapping[str, str], *, driver: Driver = "asyncpg", schema: str = SCHEMA) -> None:
        self.schema = schema
        placed = {name: in_schema(text, schema) for name, text in texts.items()}
        super().__init__(placed)
        self._driver: Driver = driver
        self._marked = {name: _marked(text, driver) for name, text in placed.items()}

    def calls(self, statement: Statement) -> Sequence[tuple[str, Any]]:
        """One text and its parameters: a sequence for asyncpg, else a mapping."""
        text = self._marked[statement.name]
        values = statement.params or {}
        if statement.values is not None:
            width = statement.width
            values = {**values, **{_column(n): list(statement.values[n::width]) for n in range(width)}}
        if self._driver == "asyncpg":
            return ((text.sql, [values[name] for name in text.names]),)
        return ((text.sql, {name: values[name] for name in text.names}),)


def load(driver: Driver = "asyncpg", schema: str = SCHEMA, package: str = "penstock.stores.postgres") -> PostgresLibrary:
    """What lies in the `sql` folder of a package."""
    return PostgresLibrary(dict(blocks(files(package).joinpath("sql"))), driver=driver, schema=schema)


def in_schema(sql: str, schema: str) -> str:
    """The text with its tables in that schema."""
    return sql if schema == SCHEMA else _SCHEMA.sub(lambda _: f"{quoted(schema)}.", sql)


def quoted(name: str) -> str:
    """As an identifier."""
    return '"' + name.replace('"', '""') + '"'


def _marked(text: str, driver: Driver) -> _Text:
    spread = _ROWS.sub(lambda found: _columns(found[1]), text)
    names = tuple(dict.fromkeys(_MARK.findall(spread)))
    return _Text(_MARK.sub(_marks(driver, names), spread if driver == "asyncpg" else spread.replace("%", "%%")), names)


def _marks(driver: Driver, names: Sequence[str]) -> Callable[[re.Match[str]], str]:
    if driver == "asyncpg":
        numbers = {name: f"${n}" for n, name in enumerate(names, 1)}
        return lambda found: numbers[found[1]]
    return lambda found: f"%({found[1]})s"


def _columns(kinds: str) -> str:
    return ", ".join(f":{_column(n)}::{kind.strip()}[]" for n, kind in enumerate(kinds.split(",")))


def _column(number: int) -> str:
    return f"rows_{number}"
