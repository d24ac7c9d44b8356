"""The user's tables, read from outside: of a file, or of a database."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any
from urllib.parse import quote

from penstock import connect
from penstock.errors import ConfigurationError

SCHEMA = "penstock_demo_"


class Tables:
    """One look at them; each query sees what is committed."""

    def __init__(self, store: str) -> None:
        self._connection: Any
        if connect.is_postgres(store):
            self._connection = connect.require("psycopg", "postgres").connect(_for_libpq(store), autocommit=True)
        else:
            self._connection = sqlite3.connect(f"file:{quote(str(connect.sqlite_path(store)))}?mode=ro", uri=True)

    def rows(self, sql: str) -> list[Sequence[Any]]:
        return self._connection.execute(sql).fetchall()  # type: ignore[no-any-return]

    def close(self) -> None:
        self._connection.close()


def rows(store: str, sql: str) -> list[Sequence[Any]]:
    with closing(Tables(store)) as tables:
        return tables.rows(sql)


def leases(store: str) -> str:
    """The name of the table of roles."""
    return f"{_schema(store)}.lease" if connect.is_postgres(store) else "penstock_lease"


def own_schema(store: str) -> str:
    """The URL of a schema that nobody has, for the demo's tables and Penstock's: what is in the database is left alone."""
    if not connect.is_postgres(store):
        raise ConfigurationError("demo --store: a PostgreSQL URL; without it the demo makes a SQLite file (--dir names its folder)")
    if "?" in store:
        raise ConfigurationError("demo --store: without options; the demo makes a schema of its own there")
    connect.check_url(store)
    name = f"{SCHEMA}{secrets.token_hex(4)}"
    return f"{store}?schema={name}&options=-csearch_path%3D{name}"


def drop_schema(store: str) -> None:
    psycopg = connect.require("psycopg", "postgres")
    with psycopg.connect(_for_libpq(store), autocommit=True) as connection:
        connection.execute(f"drop schema if exists {_schema(store)} cascade")


def _schema(store: str) -> str:
    return store.partition("schema=")[2].partition("&")[0]


def _for_libpq(store: str) -> str:
    return store.replace(f"schema={_schema(store)}&", "")
