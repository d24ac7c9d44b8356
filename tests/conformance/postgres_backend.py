"""PostgreSQL for the suite: a schema of its own on a real server, and a clock that stands still."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from penstock.config import masked
from penstock.observe.signals import Signals
from penstock.stores import postgres
from penstock.stores.postgres.address import parse
from penstock.stores.postgres.clock import PostgresClock
from penstock.stores.postgres.store import PostgresStore, Transactions
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance import Capabilities, Setup
from penstock.testing.conformance.backend import UserConnection, Where
from tests.conformance.sqlite_backend import START


class PostgresConnection:
    """A user's `psycopg.Connection`."""

    def __init__(self, url: str, schema: str, *, careless: bool = False) -> None:
        options = f"-c search_path={schema} -c synchronous_commit={'off' if careless else 'on'}"
        self.driver = psycopg.connect(url, options=options)

    def execute(self, sql: str) -> Sequence[Sequence[Any]]:
        cursor = self.driver.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []

    def commit(self) -> None:
        self.driver.commit()

    def rollback(self) -> None:
        self.driver.rollback()

    def close(self) -> None:
        self.driver.close()


class PostgresBackend:
    capabilities = Capabilities.read(Path(postgres.__file__).with_name("capabilities.toml"))

    def __init__(self, url: str) -> None:
        self.schema = f"penstock_{secrets.token_hex(6)}"
        self.clock = VirtualClock(START)
        self.signals = Signals()
        self._url = url

    @property
    def url(self) -> str:
        """With the schema for Penstock's tables, and for the user's."""
        return f"{self._url}?schema={self.schema}&options=-csearch_path%3D{self.schema}&application_name={self.schema}"

    def make(self, setup: Setup) -> PostgresStore:
        return PostgresStore(
            parse(self.url, masked(self.url)),
            signals=self.signals,
            limits=setup.limits,
            patience=setup.patience,
            clock=PostgresClock(self.clock.now, self.clock.now),
            transactions=Transactions(setup.tx_limit, psycopg),
        )

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def set_wall(self, seconds: float) -> None:
        """Nobody's time: the server's counts."""

    def cut(self) -> None:
        ended = self._cut()
        assert any(ended), f"{ended}: no connection was cut"

    def _cut(self) -> list[bool]:
        """Of each that there was, whether it is gone by now."""
        with psycopg.connect(self._url, autocommit=True, prepare_threshold=None) as connection:
            ours = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = %s"
            return [row[0] for row in connection.execute(ours, [self.schema]).fetchall()]

    def crash(self) -> None:
        """All processes die at once: the server loses their connections, whatever they do. What they had accepted and not sent may still
        come, from connections that they make: nobody was answered."""
        self.cut()

    def connect(self, where: Where) -> UserConnection:
        url = self._url
        if where == "elsewhere":
            url = urlunsplit(urlsplit(url)._replace(path="/template1"))
        return PostgresConnection(url, "public" if where == "elsewhere" else self.schema, careless=where == "careless")

    def drop(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("set lock_timeout = 5000")
            connection.execute(f"drop schema if exists {self.schema} cascade".encode())
