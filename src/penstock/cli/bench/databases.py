"""Databases of a PostgreSQL server: made once, copied for each round. Its role has to be allowed to create databases."""

from __future__ import annotations

import re
import secrets
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit, urlunsplit

import psycopg

from penstock.cli.bench import processes
from penstock.cli.bench.plan import Spent
from penstock.cli.bench.rawserver import RawServer
from penstock.cli.bench.sites import Site, Watch
from penstock.connect import administration

_TABLES = """
    create table bench_user (id bigint generated always as identity primary key, n bigint not null, name text not null);
    create table bench_bystander (at double precision not null);
"""
_SPENT = """
    select pg_current_wal_insert_lsn() - '0/0'::pg_lsn, pg_stat_get_db_xact_commit(oid)
    from pg_database
    where datname = current_database()
"""
_SETTINGS = ("shared_buffers", "synchronous_commit", "fsync", "full_page_writes", "wal_level", "max_wal_size")


class Databases:
    """`folder` is for the workers' logs."""

    def __init__(self, server: str, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._prefix = f"bench_{secrets.token_hex(3)}"
        self._made: dict[tuple[str, int, int], str] = {}
        self._dropped: set[str] = set()
        self._copies = 0
        self.raw = RawServer(self)

    def empty(self) -> Site:
        return self.filled("nothing", 0)

    def filled(self, task: str, count: int, keys: int = 0) -> Site:
        made = self._made.get((task, count, keys))
        if made is None:
            made = self._made[task, count, keys] = self._make(task, count, keys)
        return self.copy(made)

    def copy(self, made: str) -> Site:
        """Of a database that nobody has open."""
        self._copies += 1
        site = self.site(f"{self._prefix}_{self._copies}")
        self._execute(f"create database {site.name} template {made} strategy file_copy")
        return site

    def create(self, name: str) -> Site:
        site = self.site(f"{self._prefix}_{name}")
        self._execute(f"create database {site.name}")
        return site

    def rest(self, site: Site) -> None:
        """As it would be after a while: vacuumed, and its statistics made."""
        with psycopg.connect(site.url, autocommit=True) as connection:
            connection.execute("vacuum analyze")

    def drop(self, site: Site) -> None:
        self._dropped.add(site.name)
        self._execute(f"drop database if exists {site.name} with (force)")
        site.log.unlink(missing_ok=True)

    def close(self) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            found = connection.execute("select datname from pg_database where datname like %s", [f"{self._prefix}%"]).fetchall()
        for (name,) in found:
            self._execute(f"drop database {name} with (force)")

    @contextmanager
    def watch(self, site: Site) -> Generator[Watch, None, None]:
        with psycopg.connect(site.url, autocommit=True) as connection:
            yield DatabaseWatch(connection)

    def facts(self) -> Mapping[str, object]:
        with psycopg.connect(self._server) as connection:
            settings = {name: connection.execute(f"show {name}".encode()).fetchall()[0][0] for name in _SETTINGS}
            version = connection.info.server_version
        return {
            "database": f"PostgreSQL {version // 10_000}.{version % 10_000}",
            "settings": settings,
            "raw": "plain SQL on the same tables by asyncpg",
        }

    def concurrency(self, at_once: int) -> Sequence[str]:
        return ("--concurrency", str(at_once))

    def site(self, name: str) -> Site:
        parts = urlsplit(self._server)
        return Site(name, urlunsplit((parts.scheme, parts.netloc, f"/{name}", parts.query, "")), self._folder / f"{name}.log")

    def _make(self, task: str, count: int, keys: int) -> str:
        site = self.create(f"{task}_{count}_{keys}")
        administration(site.url).migrate()
        with psycopg.connect(site.url) as connection:
            connection.execute(_TABLES.encode())
        if count:
            processes.produce(site.url, "fill", task, count, keys)
        self.rest(site)
        return site.name

    def _execute(self, sql: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(sql.encode())


class DatabaseWatch(Watch):
    glance: ClassVar[float] = 0.02
    """A look costs the server something, and the machine has few cores."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def rows(self, sql: str) -> Sequence[Sequence[Any]]:
        text = re.sub(r"\bpenstock_counter\b", "penstock.count", sql)
        return self._connection.execute(re.sub(r"\bpenstock_", "penstock.", text).encode()).fetchall()

    def pause(self) -> None:
        self._connection.execute(
            "insert into penstock.setting (scope, name, value, by, at) values ('queue:bench', 'paused', 'true', 'bench', 0) "
            "on conflict do nothing"
        )

    def resume(self) -> None:
        self._connection.execute("delete from penstock.setting where scope = 'queue:bench' and name = 'paused'")

    def server(self) -> float | None:
        """If it runs on this machine."""
        backend, client = self.rows("select pg_backend_pid(), coalesce(host(inet_client_addr()), '')")[0]
        postmaster = processes.parent(backend, "postgres") if client in ("127.0.0.1", "::1", "") else None
        return None if postmaster is None else processes.family_seconds(postmaster)

    def spent(self) -> Spent:
        """Commits that backends have told of: those that ended have."""
        wal, commits = self.rows(_SPENT)[0]
        return Spent(int(wal), int(commits))
