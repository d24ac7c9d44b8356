"""PostgreSQL behind PgBouncer in transaction mode: a session is not one server process, so a user's settings are a transaction's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from penstock.stores import postgres
from penstock.testing.conformance import Capabilities, Ground
from penstock.testing.conformance.backend import Where
from tests.conformance.postgres_backend import PostgresBackend


class PooledConnection:
    """A user's `psycopg.Connection`, which prepares nothing."""

    def __init__(self, url: str, *, careless: bool = False) -> None:
        self._begins = f"set local synchronous_commit = {'off' if careless else 'on'}"
        self.driver = psycopg.connect(url, prepare_threshold=None)

    def execute(self, sql: str) -> Sequence[Sequence[Any]]:
        if self.driver.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            self.driver.execute(self._begins.encode())
        cursor = self.driver.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []

    def commit(self) -> None:
        self.driver.commit()

    def rollback(self) -> None:
        self.driver.rollback()

    def close(self) -> None:
        self.driver.close()


class PooledBackend(PostgresBackend):
    capabilities = Capabilities.read(Path(postgres.__file__).with_name("capabilities-pooled.toml"))

    @property
    def url(self) -> str:
        """The user's tables are in `public`."""
        return f"{self._url}?schema={self.schema}&application_name={self.schema}"

    def connect(self, where: Where) -> PooledConnection:
        url = self._url
        if where == "elsewhere":
            url = urlunsplit(urlsplit(url)._replace(path="/postgres"))
        return PooledConnection(url, careless=where == "careless")

    def cut(self) -> None:
        """Those that the pooler has just lent us: there may be none."""
        self._cut()

    def drop(self) -> None:
        with psycopg.connect(self._url, prepare_threshold=None) as connection:
            connection.execute("set local lock_timeout = 5000")
            connection.execute(f"drop schema if exists {self.schema} cascade".encode())
            connection.execute("drop schema public cascade; create schema public")


class OnPooled:
    @pytest.fixture
    async def store(self, pooled_url: str) -> AsyncIterator[Ground]:
        backend = PooledBackend(pooled_url)
        try:
            async with Ground(backend) as ground:
                yield ground
        finally:
            backend.drop()
