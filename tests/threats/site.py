"""A store that others can write into: by plain SQL, as whoever reaches the database can."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from penstock import App, Retry
from penstock.connect import administration
from penstock.model.job import DeadLetterView, JobView

ONCE = Retry(attempts=1)


class Site:
    """Rows go in and come out without a line of ours."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._ids = count(1)
        self._apps: list[App] = []

    def app(self, **options: Any) -> App:
        self._apps.append(App(self.url, name="shop", **options))
        return self._apps[-1]

    async def close(self) -> None:
        for app in self._apps:
            await app.close()

    def put(self, task: str, body: bytes, queue: str = "mail", **columns: object) -> str:
        """A message that may be claimed at once; its id."""
        made = {"id": f"foreign-{next(self._ids)}", "queue": queue, "task": task, "rank": 5, "enqueued": 1, "body": body} | columns
        self.insert("message", **made)
        ((seq,),) = self.rows(f"select seq from {self.table('message')} where id = {self.mark}", made["id"])
        self.insert("ready", queue=queue, rank=5, seq=seq)
        return str(made["id"])

    def insert(self, table: str, **columns: object) -> None:
        marks = ", ".join([self.mark] * len(columns))
        self.write(f"insert into {self.table(table)} ({', '.join(columns)}) values ({marks})", tuple(columns.values()))

    def rows(self, sql: str, *values: object) -> list[Any]:
        raise NotImplementedError

    def write(self, sql: str, values: tuple[object, ...] = ()) -> None:
        raise NotImplementedError

    def table(self, name: str) -> str:
        raise NotImplementedError

    def tables(self) -> list[str]:
        """The names of all of them."""
        raise NotImplementedError

    mark = "?"


class File(Site):
    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"sqlite:///{path}")

    def rows(self, sql: str, *values: object) -> list[Any]:
        with closing(self._connected()) as connection:
            return connection.execute(sql, values).fetchall()

    def write(self, sql: str, values: tuple[object, ...] = ()) -> None:
        with closing(self._connected()) as connection, connection:
            connection.execute(sql, values)

    def table(self, name: str) -> str:
        return f"penstock_{name}"

    def tables(self) -> list[str]:
        return [name for (name,) in self.rows("select name from sqlite_master where type = 'table' order by name")]

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path)
        connection.execute("pragma wal_autocheckpoint = 0")
        return connection


class Server(Site):
    mark = "%s"

    def __init__(self, url: str) -> None:
        self.bare, self.schema = url, f"threats_{secrets.token_hex(4)}"
        super().__init__(f"{url}?schema={self.schema}")

    def rows(self, sql: str, *values: object) -> list[Any]:
        with psycopg.connect(self.bare, autocommit=True) as connection:
            return connection.execute(sql.encode(), values or None).fetchall()

    def write(self, sql: str, values: tuple[object, ...] = ()) -> None:
        with psycopg.connect(self.bare, autocommit=True) as connection:
            connection.execute(sql.encode(), values or None)

    def table(self, name: str) -> str:
        return f"{self.schema}.{name}"

    def tables(self) -> list[str]:
        return [name for (name,) in self.rows(f"select tablename from pg_tables where schemaname = '{self.schema}' order by tablename")]

    def drop(self) -> None:
        self.write(f"set lock_timeout = 5000; drop schema {self.schema} cascade")


@contextmanager
def on_server(url: str) -> Iterator[Server]:
    site = Server(url)
    administration(site.url).migrate()
    try:
        yield site
    finally:
        site.drop()


@contextmanager
def on_file(path: Path) -> Iterator[File]:
    site = File(path)
    administration(site.url).migrate()
    yield site


async def letter_of(app: App, job: str) -> DeadLetterView:
    letter = await (await app._link.opened()).inspect.letter(job)
    assert letter is not None, f"{job} is not among the dead letters"
    return letter


async def view_of(app: App, job: str) -> JobView:
    view = await (await app._link.opened()).inspect.job(job)
    assert view is not None, f"{job} is not in the store"
    return view


def nested(levels: int) -> bytes:
    """A list in a list, and so on."""
    return b"[" * levels + b"]" * levels


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()
