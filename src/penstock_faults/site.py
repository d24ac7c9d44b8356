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
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import psycopg
from psycopg.errors import DataCorrupted, IndexCorrupted

from penstock.connect import administration

_PLACES = ("ready", "later", "aside", "suspect", "leased", "finished", "dead")


_COUNTED = {
    "waiting": ("ready", "aside", "suspect"),
    "delayed": ("later",),
    "running": ("leased",),
    "dead": ("dead",),
    "kept": ("finished",),
}
_PARTS = [
    *(f"select queue, '{what}' as what, {what} as n from penstock_counter" for what in _COUNTED),
    *(
        f"select m.queue, '{what}', -1 from penstock_{place} p join penstock_message m on m.seq = p.seq"
        for what, places in _COUNTED.items()
        for place in places
    ),
]
_MISCOUNTED = f"select queue, what from ({' union all '.join(_PARTS)}) t group by queue, what having sum(n) <> 0"
"""Queues, and what their counters say wrongly; in one statement, since others may be at work."""
_MAY_CHECK = """
select exists (select from pg_available_extensions where name = 'amcheck') and (select rolsuper from pg_roles where rolname = current_user)
"""
_CAN_CHECK = "select exists (select from pg_extension where extname = 'amcheck')"
_CHECKS = (
    """
    select format('%s, block %s: %s', c.oid::regclass, h.blkno, h.msg) from pg_class c, lateral verify_heapam(c.oid, check_toast => true) h
    where c.relkind = 'r' and c.relnamespace in (select oid from pg_namespace where nspname in ('penstock', 'public'))
    """,
    """
    select format('%s: %s', i.indexrelid::regclass, bt_index_check(i.indexrelid, heapallindexed => true))
    from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam and a.amname = 'btree'
    where i.indisvalid and c.relnamespace in (select oid from pg_namespace where nspname in ('penstock', 'public'))
    """,
)
"""Rows of the first one say what is wrong; the second one raises."""


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
        """There may be a pooler before it. Exits if the URL's options name a database, or a schema: they would outvote the path."""
        parts = urlsplit(server)
        if named := {name for name, _ in parse_qsl(parts.query)} & {"dbname", "database", "schema"}:
            raise SystemExit(f"each program makes a database of its own: leave out ?{min(named)}=")
        name = f"faults_{secrets.token_hex(4)}"
        with psycopg.connect(server, autocommit=True, prepare_threshold=None) as connection:
            connection.execute(f"create database {name}".encode())
        site = cls(urlunsplit(parts._replace(path=f"/{name}")), server)
        try:
            administration(site.url).migrate()
            assert site.rows("select current_database()") == [(name,)]
            if site.rows(_MAY_CHECK) == [(True,)]:
                site.rows("create extension amcheck schema public")
        except BaseException:
            site.drop()
            raise
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

    def unfinished(self) -> int:
        """Jobs that wait or run."""
        return self.value("select coalesce(sum(waiting + delayed + running), 0) from penstock_counter")

    def soundness(self, *, counted: bool = True) -> str:
        """`ok`, or what is wrong: the file has to be whole, or each table and index of a server that has `amcheck` and lets us use it; each
        message has to be in one place; and the counters have to say what is there.

        `counted` False: rows were put there that no counter has heard of.
        """
        if damage := self._damage() if self.server else str(self.rows("pragma integrity_check")[0][0]).removeprefix("ok"):
            return damage
        places = " union all ".join(f"select seq from penstock_{place}" for place in _PLACES)
        twice = self.value(f"select count(*) from (select seq from ({places}) p group by seq having count(*) > 1) t")
        nowhere = self.value(f"select count(*) from penstock_message where seq not in (select seq from ({places}) p)")
        if twice or nowhere:
            return f"{twice} messages are in two places, {nowhere} in none"
        if counted and (wrong := self.rows(_MISCOUNTED)):
            return f"miscounted: {', '.join(f'{what} of {queue}' for queue, what in wrong)}"
        return "ok"

    def _damage(self) -> str:
        with psycopg.connect(self.url, autocommit=True, prepare_threshold=None) as connection:
            if connection.execute(_CAN_CHECK).fetchone() != (True,):
                return ""
            try:
                tables, _ = (connection.execute(check.encode()).fetchall() for check in _CHECKS)
            except (DataCorrupted, IndexCorrupted) as error:
                return str(error)
        return "; ".join(row[0] for row in tables[:5])

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    def drop(self) -> None:
        if self.server:
            with psycopg.connect(self.server, autocommit=True, prepare_threshold=None) as connection:
                connection.execute(f"drop database {urlsplit(self.url).path[1:]} with (force)".encode())
