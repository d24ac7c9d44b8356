"""Where a fault test happens: a file, or a database of a server. What is asked of the tables is written for SQLite, by name."""

from __future__ import annotations

import re
import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from penstock.connect import administration

_PLACES = ("ready", "later", "aside", "suspect", "leased", "finished", "dead")


_OPEN = " union all ".join(f"select seq from penstock_{place}" for place in _PLACES if place not in ("finished", "dead"))
_MISCOUNTED = f"""
select c.queue
from penstock_counter c
where c.kept <> (select count(*) from penstock_finished p where p.queue = c.queue)
    or c.dead <> (select count(*) from penstock_dead p where p.queue = c.queue)
    or c.waiting + c.delayed + c.running
        <> (select count(*) from ({_OPEN}) p join penstock_message m on m.seq = p.seq where m.queue = c.queue)
"""
"""Queues; in one statement, since others may be at work."""


@dataclass(frozen=True)
class Site:
    """`database`: the file, or the URL of a database of `server`'s that was made for this; the test's tables are in `public`."""

    database: Path | str
    server: str = ""

    @classmethod
    def at(cls, database: Path) -> Site:
        """A file that has its tables."""
        site = cls(database)
        administration(site.url).migrate()
        return site

    @classmethod
    def on(cls, server: str) -> Site:
        """There may be a pooler before it."""
        name = f"faults_{secrets.token_hex(4)}"
        with psycopg.connect(server, autocommit=True, prepare_threshold=None) as connection:
            connection.execute(f"create database {name}".encode())
        site = cls(urlunsplit(urlsplit(server)._replace(path=f"/{name}")), server)
        administration(site.url).migrate()
        return site

    @property
    def url(self) -> str:
        return str(self.database) if self.server else f"sqlite:///{self.database}"

    @property
    def number(self) -> str:
        """The type of a column that counts by itself."""
        return "integer generated always as identity primary key" if self.server else "integer primary key"

    def rows(self, sql: str) -> list[Sequence[Any]]:
        """By a connection of one's own: what is committed."""
        if not self.server:
            with closing(sqlite3.connect(self.database, timeout=10)) as connection:
                found = connection.execute(sql).fetchall()
                connection.commit()
                return found
        text = re.sub(r"\bpenstock_counter\b", "penstock.count", sql)
        text = re.sub(r"\bpenstock_", "penstock.", text)
        with psycopg.connect(self.url, prepare_threshold=None) as connection:
            cursor = connection.execute(text.encode())
            return list(cursor.fetchall()) if cursor.description else []

    def value(self, sql: str) -> int:
        return int(self.rows(sql)[0][0])

    def soundness(self, *, counted: bool = True) -> str:
        """`ok`, or what is wrong: each message has to be in one place, the counters have to say what is there, and the file to be whole.

        `counted` False: rows were put there that no counter has heard of.
        """
        places = " union all ".join(f"select seq from penstock_{place}" for place in _PLACES)
        twice = self.value(f"select count(*) from (select seq from ({places}) p group by seq having count(*) > 1) t")
        nowhere = self.value(f"select count(*) from penstock_message where seq not in (select seq from ({places}) p)")
        if twice or nowhere:
            return f"{twice} messages are in two places, {nowhere} in none"
        if counted and (queues := self.rows(_MISCOUNTED)):
            return f"the counters of {', '.join(row[0] for row in queues)} are wrong"
        return "ok" if self.server else str(self.rows("pragma integrity_check")[0][0])

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    def drop(self) -> None:
        if self.server:
            with psycopg.connect(self.server, autocommit=True, prepare_threshold=None) as connection:
                connection.execute(f"drop database {urlsplit(self.url).path[1:]} with (force)".encode())
