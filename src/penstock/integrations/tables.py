"""Penstock's tables on PostgreSQL as SQLAlchemy knows tables, read from the very migrations that make them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Double, Identity, Index, Integer, LargeBinary, MetaData, SmallInteger, Table, Text
from sqlalchemy import PrimaryKeyConstraint as PrimaryKey
from sqlalchemy import text as sql
from sqlalchemy.types import TypeEngine, UserDefinedType


class Xid8(UserDefinedType[str]):
    """The number of a transaction."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


_COMMENT = re.compile(r"--.*")
_MAKES = re.compile(r"^create table penstock\.(\w+) \((.*?)\n\)", re.DOTALL | re.MULTILINE)
_INDEX = re.compile(r"^create (unique )?index (\w+) on penstock\.(\w+) \(([^)]*)\)(?: where ([^;]*))?;", re.MULTILINE)
_ADDS = re.compile(r"^alter table penstock\.(\w+)\s+(add column [^;]*);", re.MULTILINE)
_COLUMN = re.compile(
    r"""
    (?P<name>\w+)\ (?P<type>double\ precision|\w+)(?:\ collate\ "(?P<collate>\w+)")?(?P<required>\ not\ null)?
    (?:\ default\ (?P<default>[^,]+?))?(?:\ generated\ (?P<identity>always|by\ default)\ as\ identity)?
    (?P<key>\ primary\ key)?(?P<required_too>\ not\ null)?(?P<unique>\ unique)?
    """,
    re.VERBOSE,
)
_TYPES: Mapping[str, Callable[[], TypeEngine[Any]]] = MappingProxyType(
    {
        "bigint": BigInteger,
        "int": Integer,
        "integer": Integer,
        "smallint": SmallInteger,
        "boolean": Boolean,
        "bytea": LargeBinary,
        "double precision": Double,
        "xid8": Xid8,
    }
)


def metadata(schema: str = "penstock") -> MetaData:
    """Penstock's tables in that schema as its migrations leave them, for Alembic: beside your own in `target_metadata` they are
    neither dropped nor made again. Not for `create_all`: functions and views are not in it.
    """
    made = MetaData(schema=schema)
    Table("meta", made, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))
    for script in _scripts():
        for name, body in _MAKES.findall(script):
            Table(name, made, *_parts(body, schema))
        for name, body in _ADDS.findall(script):
            for part in _parts(body.replace("add column ", ""), schema):
                made.tables[f"{schema}.{name}"].append_column(part)
        for unique, name, table, columns, where in _INDEX.findall(script):
            only = sql(where) if where else None
            of = made.tables[f"{schema}.{table}"]
            Index(name, *(of.c[each] for each in columns.split(", ")), unique=bool(unique), postgresql_where=only)
    return made


def _scripts() -> Iterator[str]:
    folder = files("penstock.stores.postgres").joinpath("migrations")
    for path in sorted(folder.iterdir(), key=lambda each: each.name):
        if path.name.endswith(".sql"):
            yield _COMMENT.sub("", path.read_text("utf-8"))


def _parts(body: str, schema: str) -> Iterator[Any]:
    for line in filter(None, map(str.strip, body.split("\n"))):
        part = line.removesuffix(",").strip()
        if part.startswith("primary key"):
            yield PrimaryKey(*part[part.index("(") + 1 : -1].split(", "))
        else:
            yield _column(part, schema)


def _column(part: str, schema: str) -> Column[Any]:
    found = _COLUMN.fullmatch(part)
    assert found is not None, f"a migration has a column that is not understood here: {part}"
    type_ = Text(collation=found["collate"]) if found["type"] == "text" else _TYPES[found["type"]]()
    identity = [] if found["identity"] is None else [Identity(always=found["identity"] == "always")]
    default = None if found["default"] is None else _default(found["default"], schema)
    return Column(
        found["name"],
        type_,
        *identity,
        primary_key=found["key"] is not None,
        nullable=(found["required"] or found["required_too"] or found["key"]) is None,
        unique=True if found["unique"] else None,
        server_default=None if default is None else sql(default),
        autoincrement=bool(identity) or (default is not None and default.startswith("nextval")),
    )


def _default(written: str, schema: str) -> str:
    """As the server says it."""
    return re.sub(r"'penstock\.(\w+)'", rf"'{schema}.\1'::regclass", written)
