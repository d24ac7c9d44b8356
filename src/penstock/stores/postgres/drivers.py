"""Connections of users' drivers, as foreign connections."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Protocol

from penstock.errors import ConfigurationError
from penstock.model.statement import Rows
from penstock.ports.transaction import ForeignConnection

_ASYNC = "using(tx=…).sync: this connection is async; await the verb without .sync"


class AsyncpgConnection:
    """An `asyncpg.Connection`."""

    awaits = True
    driver = "asyncpg"

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        if not connection.is_in_transaction():
            raise ConfigurationError(
                "using(tx=connection): no transaction is open on this asyncpg connection; begin one: async with connection.transaction()"
            )

    def run(self, sql: str, params: Any) -> Rows:
        raise ConfigurationError(_ASYNC)

    async def run_async(self, sql: str, params: Any) -> Rows:
        return await self._connection.fetch(sql, *params)  # type: ignore[no-any-return]

    def wire(self) -> object:
        raise ConfigurationError(_ASYNC)

    async def wire_async(self) -> object:
        return self._connection

    def after_commit(self, callback: Callable[[], None]) -> None:
        """asyncpg has no hook."""


class PooledAsyncpgConnection(AsyncpgConnection):
    """What a pool lends: another one each time, around a connection that stays."""

    async def wire_async(self) -> object:
        return self._connection._con


class PsycopgConnection:
    """A `psycopg.Connection`."""

    awaits = False
    driver = "psycopg"

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        _check_open(connection)

    def run(self, sql: str, params: Any) -> Rows:
        with self._connection.cursor(row_factory=_tuples()) as cursor:
            cursor.execute(sql, params)
            return cursor.fetchall() if cursor.description else ()

    async def run_async(self, sql: str, params: Any) -> Rows:
        return self.run(sql, params)

    def wire(self) -> object:
        return self._connection

    async def wire_async(self) -> object:
        return self._connection

    def after_commit(self, callback: Callable[[], None]) -> None:
        """psycopg has no hook."""


class AsyncPsycopgConnection:
    """A `psycopg.AsyncConnection`."""

    awaits = True
    driver = "psycopg"

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        _check_open(connection)

    def run(self, sql: str, params: Any) -> Rows:
        raise ConfigurationError(_ASYNC)

    async def run_async(self, sql: str, params: Any) -> Rows:
        async with self._connection.cursor(row_factory=_tuples()) as cursor:
            await cursor.execute(sql, params)
            return await cursor.fetchall() if cursor.description else ()

    def wire(self) -> object:
        return self._connection

    async def wire_async(self) -> object:
        return self._connection

    def after_commit(self, callback: Callable[[], None]) -> None:
        """psycopg has no hook."""


class _Wrap(Protocol):
    def __call__(self, connection: Any, /) -> ForeignConnection: ...


_KINDS: tuple[tuple[str, str, _Wrap], ...] = (
    ("asyncpg.pool", "PoolConnectionProxy", PooledAsyncpgConnection),
    ("asyncpg", "Connection", AsyncpgConnection),
    ("psycopg", "Connection", PsycopgConnection),
    ("psycopg", "AsyncConnection", AsyncPsycopgConnection),
)


def as_foreign(connection: object) -> ForeignConnection:
    """What a user passed as `tx=`. A driver is looked for among what the program has loaded."""
    for module, name, wrap in _KINDS:
        if module in sys.modules and isinstance(connection, vars(sys.modules[module])[name]):
            return wrap(connection)
    if isinstance(connection, ForeignConnection):
        return connection
    raise ConfigurationError(
        f"using(tx={type(connection).__name__}): this store can join asyncpg and psycopg connections, SQLAlchemy sessions and Django's"
    )


def _check_open(connection: Any) -> None:
    if connection.autocommit and connection.info.transaction_status == 0:
        raise ConfigurationError(
            "using(tx=connection): no transaction is open on this psycopg connection, and it commits each statement; "
            "begin one: with connection.transaction()"
        )


def _tuples() -> Any:
    return sys.modules["psycopg"].rows.tuple_row
