"""SQLAlchemy: enqueue in a session's transaction, and engines that are safe to share a SQLite file with Penstock.

    engine = prepare(create_engine("sqlite:///shop.db"))
    with Session(engine) as session, session.begin():
        session.add(user)
        send_welcome.using(tx=session).sync.enqueue(user.id)      # commits or rolls back with the user

A session on a handler's transaction, of an app that knows the engine:

    app = App("postgresql://localhost/shop", transactions=create_async_engine("postgresql+asyncpg://localhost/shop"))
    app = App("sqlite:///shop.db", transactions=create_async_engine("sqlite+aiosqlite:///shop.db"))

    @app.task()
    async def ship(tx: Transaction, order_id: int) -> None:
        async with session(tx) as orm:
            order = await orm.get_one(Order, order_id)
            order.shipped = True                                  # commits with the job, or not at all

Needs `pip install "penstock[sqlalchemy]"`.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, TypeVar, overload

from sqlalchemy import Connection, CursorResult, Engine, event
from sqlalchemy.exc import UnboundExecutionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from penstock.api.transaction import SyncTransaction, Transaction
from penstock.errors import ConfigurationError
from penstock.integrations.engines import async_session, carriers, sync_session
from penstock.integrations.guests import guests
from penstock.integrations.tables import metadata
from penstock.integrations.wires import commits_each_statement
from penstock.ports.transaction import AUTOCOMMITS, Answer

__all__ = ["carriers", "foreign", "guests", "metadata", "prepare", "session"]

E = TypeVar("E", bound=Engine | AsyncEngine)

_RINGS = "penstock_rings"
_SETTINGS = ("pragma journal_mode = wal", "pragma synchronous = full", "pragma wal_autocheckpoint = 0", "pragma busy_timeout = 5000")


def prepare(engine: E) -> E:
    """Give every new connection of a SQLite engine Penstock's settings, and let its transactions begin with `begin immediate`.

    Without it a session that reads before it writes can fail with "database is locked" at once, whatever its time-out is
    (SQLite cannot upgrade a stale read), and its automatic checkpoints have to be switched off when it first joins.
    Before this process forks, the connections of a sync engine that nobody uses are closed: a child that inherits them could
    lose what it commits. Dispose of an async engine before you fork, and fork in no transaction.
    Other dialects are left as they are. Returns the engine. Call it before the first connection.
    """
    sync = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    if sync.dialect.name == "sqlite":
        event.listen(sync, "connect", _configure)
        event.listen(sync, "begin", _begin)
        if sync is engine:
            _close_before_forks(weakref.ref(sync))
    return engine


def _close_before_forks(found: weakref.ref[Engine]) -> None:
    """SQLite counts locks in its process's memory: a child would take those of inherited connections for its own. Another kind
    of pool may hold a database in memory."""

    def close() -> None:
        engine = found()
        if engine is not None and isinstance(engine.pool, QueuePool):
            engine.dispose()

    os.register_at_fork(before=close)


def _configure(connection: Any, _: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: _begin does
    cursor = connection.cursor()
    for setting in _SETTINGS:
        cursor.execute(setting)
        cursor.fetchall()
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("begin immediate")


@overload
def session(tx: Transaction) -> AbstractAsyncContextManager[AsyncSession]: ...


@overload
def session(tx: SyncTransaction) -> AbstractContextManager[Session]: ...


def session(tx: Transaction | SyncTransaction) -> Any:
    """A session on a handler's transaction, of an app with `transactions=engine`: for `tx` an AsyncSession, for `tx.sync` a Session.

    At the end of the block it is flushed. Its own `commit()` ends no more than a savepoint: what it wrote commits with the job, and is
    rolled back with it. Raises ConfigurationError for a transaction on no engine of that kind.
    """
    return sync_session(tx) if isinstance(tx, SyncTransaction) else async_session(tx)


def foreign(target: object) -> Joining:
    """What `using(tx=target)` joins."""
    return Joining(target)


class Joining:
    """A session or connection of the user's as `ports.transaction.ForeignConnection`."""

    def __init__(self, target: object) -> None:
        if not isinstance(target, Session | Connection | AsyncSession | AsyncConnection):
            raise ConfigurationError(
                f"using(tx={type(target).__name__}): of SQLAlchemy, a Session, AsyncSession, Connection or AsyncConnection can be joined"
            )
        self._target = target
        self.driver = _dialect_driver(target)

    @property
    def awaits(self) -> bool:
        return isinstance(self._target, AsyncSession | AsyncConnection)

    def run(self, sql: str, params: Any) -> Sequence[Sequence[Any]]:
        return _rows(self._execute(sql, params))

    async def run_async(self, sql: str, params: Any) -> Sequence[Sequence[Any]]:
        return _rows(await self._execute_async(sql, params))

    def named(self, sql: str, params: Any) -> Answer:
        return _named(self._execute(sql, params))

    async def named_async(self, sql: str, params: Any) -> Answer:
        return _named(await self._execute_async(sql, params))

    def wire(self) -> object:
        return _wire(self._connection())

    async def wire_async(self) -> object:
        connection = (await self._connection_async()).sync_connection
        assert connection is not None
        return _wire(connection)

    def _execute(self, sql: str, params: Any) -> CursorResult[Any]:
        return self._connection().exec_driver_sql(sql, _driver(params))

    async def _execute_async(self, sql: str, params: Any) -> CursorResult[Any]:
        return await (await self._connection_async()).exec_driver_sql(sql, _driver(params))

    def _connection(self) -> Connection:
        target = self._target
        assert isinstance(target, Session | Connection)
        return target.connection() if isinstance(target, Session) else target

    async def _connection_async(self) -> AsyncConnection:
        target = self._target
        assert isinstance(target, AsyncSession | AsyncConnection)
        return await target.connection() if isinstance(target, AsyncSession) else target

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Sessions tell; of bare connections the commit is found by looking."""
        target = self._target
        session = target.sync_session if isinstance(target, AsyncSession) else target
        if isinstance(session, Session) and session.info.get(_RINGS) is not session.get_transaction():
            session.info[_RINGS] = session.get_transaction()
            event.listen(session, "after_commit", lambda _: callback(), once=True)


def _wire(connection: Connection) -> object:
    """Raises ConfigurationError where a rollback would leave the job. On SQLite that is known after the first write only."""
    fairy = connection.connection
    if connection.dialect.name == "postgresql" and commits_each_statement(fairy):
        raise ConfigurationError(AUTOCOMMITS)
    return fairy.driver_connection


def _dialect_driver(target: Session | Connection | AsyncSession | AsyncConnection) -> str:
    try:
        bind = target.get_bind() if isinstance(target, Session | AsyncSession) else target
    except UnboundExecutionError as error:
        raise ConfigurationError("using(tx=session): this session has no engine of its own: which database to join?") from error
    return "sqlite3" if bind.dialect.driver == "pysqlite" else bind.dialect.driver


def _driver(params: Any) -> Any:
    return tuple(params) if isinstance(params, list) else (params or None)


def _rows(result: CursorResult[Any]) -> Sequence[Sequence[Any]]:
    return [tuple(row) for row in result] if result.returns_rows else ()


def _named(result: CursorResult[Any]) -> Answer:
    rows: list[Mapping[str, Any]] = [dict(row) for row in result.mappings()] if result.returns_rows else []
    return Answer(rows, result.rowcount)
