"""Where a fault test happens: a file, or a schema of a server. What is asked of the tables is written for SQLite, by name."""

from __future__ import annotations

import re
import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from penstock.connect import administration

_PLACES = ("ready", "later", "aside", "suspect", "leased", "finished", "dead")


@dataclass(frozen=True)
class Site:
    """`database`: the file, or the URL of a server's database; then `schema` is there for Penstock's tables and the test's."""

    database: Path | str
    schema: str = ""

    @classmethod
    def on(cls, server: str) -> Site:
        site = cls(server, f"faults_{secrets.token_hex(4)}")
        administration(site.url).migrate()
        return site

    @property
    def url(self) -> str:
        if not self.schema:
            return f"sqlite:///{self.database}"
        return f"{self.database}?schema={self.schema}&options=-csearch_path%3D{self.schema}"

    @property
    def number(self) -> str:
        """The type of a column that counts by itself."""
        return "integer generated always as identity primary key" if self.schema else "integer primary key"

    def rows(self, sql: str) -> list[Sequence[Any]]:
        """By a connection of one's own: what is committed."""
        if not self.schema:
            with closing(sqlite3.connect(self.database, timeout=10)) as connection:
                found = connection.execute(sql).fetchall()
                connection.commit()
                return found
        text = re.sub(r"\bpenstock_counter\b", f"{self.schema}.count", sql)
        text = re.sub(r"\bpenstock_", f"{self.schema}.", text)
        with psycopg.connect(str(self.database), options=f"-csearch_path={self.schema}") as connection:
            cursor = connection.execute(text.encode())
            return list(cursor.fetchall()) if cursor.description else []

    def value(self, sql: str) -> int:
        return int(self.rows(sql)[0][0])

    def soundness(self) -> str:
        """`ok`, or what is wrong: each message has to be in one place, and the file whole."""
        places = " union all ".join(f"select seq from penstock_{place}" for place in _PLACES)
        twice = self.value(f"select count(*) from (select seq from ({places}) p group by seq having count(*) > 1) t")
        nowhere = self.value(f"select count(*) from penstock_message where seq not in (select seq from ({places}) p)")
        if twice or nowhere:
            return f"{twice} messages are in two places, {nowhere} in none"
        return "ok" if self.schema else str(self.rows("pragma integrity_check")[0][0])

    def drop(self) -> None:
        if self.schema:
            with psycopg.connect(str(self.database), autocommit=True) as connection:
                connection.execute(f"drop schema {self.schema} cascade".encode())
