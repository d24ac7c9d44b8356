"""Handlers' transactions on a SQLAlchemy engine, and sessions on them: `App(transactions=engine)`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar

from msgspec import Struct
from sqlalchemy import Connection, CursorResult, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from penstock.api.transaction import SyncTransaction, Transaction
from penstock.errors import ConfigurationError
from penstock.integrations.fences import Fence
from penstock.integrations.wires import in_transaction
from penstock.ports.cancelling import Canceller
from penstock.ports.transaction import Carrier, Stranger

T = TypeVar("T")

_THREADS = 10


def carriers(engine: object) -> Callable[[], Carrier]:
    """What makes a transaction on this engine. Raises ConfigurationError."""
    if isinstance(engine, AsyncEngine):
        return lambda: AsyncEngineCarrier(engine)
    if isinstance(engine, Engine):
        threads, canceller = ThreadPoolExecutor(_THREADS, thread_name_prefix="penstock-engine"), Canceller()
        return lambda: EngineCarrier(engine, threads, canceller)
    raise ConfigurationError(f"App(transactions={type(engine).__name__}): a SQLAlchemy Engine or AsyncEngine")


class AsyncEngineCarrier:
    """Implements `ports.transaction.Carrier`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.driver = engine.dialect.driver
        self.connection: Any = None
        self._engine = engine
        self._hold: Hold | None = None

    @property
    def broken(self) -> bool:
        return bool(self.connection is not None and self.connection.invalidated)

    @property
    def ended(self) -> bool:
        return self._hold is not None and self._hold.lost

    async def begin(self, settings: Mapping[str, str]) -> Stranger:
        connection: AsyncConnection = await self._engine.connect()
        try:
            hold = await connection.run_sync(_hold, settings)
        except BaseException:
            await connection.close()
            raise
        self.connection, self._hold = connection, hold
        return Stranger(hold.wire, self._engine.url.render_as_string())

    async def run(self, sql: str, params: Any) -> Sequence[Sequence[Any]]:
        result = await self._execute(sql, params)
        return [tuple(row) for row in result] if result.returns_rows else ()

    async def fetch(self, sql: str, params: Any) -> list[Mapping[str, Any]]:
        result = await self._execute(sql, params)
        return [dict(row) for row in result.mappings()] if result.returns_rows else []

    async def execute(self, sql: str, params: Any) -> int:
        return (await self._execute(sql, params)).rowcount

    async def commit(self) -> None:
        _let_go(self._hold)
        await self.connection.commit()
        await self._close()

    async def rollback(self) -> None:
        with suppress(SQLAlchemyError, OSError):
            await (self.connection.rollback() if _let_go(self._hold) else self.connection.invalidate())
        await self._close()

    async def _execute(self, sql: str, params: Any) -> CursorResult[Any]:
        with _their_own():
            return await self.connection.exec_driver_sql(sql, _driver(params))  # type: ignore[no-any-return]

    async def _close(self) -> None:
        connection, self.connection, self._hold = self.connection, None, None
        with suppress(SQLAlchemyError, OSError):
            await connection.close()


class EngineCarrier:
    """Implements `ports.transaction.Carrier`, on threads of its own; `connection` may be used by the handler on its thread."""

    def __init__(self, engine: Engine, threads: ThreadPoolExecutor, canceller: Canceller) -> None:
        self.driver = engine.dialect.driver
        self.connection: Any = None
        self._engine = engine
        self._threads = threads
        self._canceller = canceller
        self._hold: Hold | None = None

    @property
    def broken(self) -> bool:
        return bool(self.connection is not None and self.connection.invalidated)

    @property
    def ended(self) -> bool:
        return self._hold is not None and self._hold.lost

    async def begin(self, settings: Mapping[str, str]) -> Stranger:
        self.connection, hold = await self._run(lambda: self._begin(settings))
        self._hold = hold
        return Stranger(hold.wire, self._engine.url.render_as_string())

    async def run(self, sql: str, params: Any) -> Sequence[Sequence[Any]]:
        return await self._run(lambda: self._positional(sql, params))

    async def fetch(self, sql: str, params: Any) -> list[Mapping[str, Any]]:
        return await self._run(lambda: self._named(sql, params))

    async def execute(self, sql: str, params: Any) -> int:
        return await self._run(lambda: self._execute(sql, params).rowcount)

    async def commit(self) -> None:
        _let_go(self._hold)
        await self._run(self.connection.commit)
        await self._close()

    async def rollback(self) -> None:
        assert self._hold is not None
        undo = self.connection.rollback if _let_go(self._hold) else self.connection.invalidate
        with suppress(SQLAlchemyError, OSError):
            if await self._canceller.around(self._hold.wire, self._run(undo)):
                await self._run(self.connection.invalidate)
        await self._close()

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _begin(self, settings: Mapping[str, str]) -> tuple[Connection, Hold]:
        connection = self._engine.connect()
        try:
            return connection, _hold(connection, settings)
        except BaseException:
            connection.close()
            raise

    def _positional(self, sql: str, params: Any) -> Sequence[Sequence[Any]]:
        result = self._execute(sql, params)
        return [tuple(row) for row in result] if result.returns_rows else ()

    def _named(self, sql: str, params: Any) -> list[Mapping[str, Any]]:
        result = self._execute(sql, params)
        return [dict(row) for row in result.mappings()] if result.returns_rows else []

    def _execute(self, sql: str, params: Any) -> CursorResult[Any]:
        with _their_own():
            return self.connection.exec_driver_sql(sql, _driver(params))  # type: ignore[no-any-return]

    async def _close(self) -> None:
        connection, self.connection, self._hold = self.connection, None, None
        with suppress(SQLAlchemyError, OSError):
            await self._run(connection.close)


class Hold(Struct, frozen=True):
    """On a transaction that has begun."""

    wire: Any
    """The driver's connection."""
    fence: Fence

    @property
    def lost(self) -> bool:
        return not (self.fence.whole and in_transaction(self.wire))


def _let_go(hold: Hold | None) -> bool:
    """It may be ended now, and the connection can be used again."""
    if hold is None:
        return True
    hold.fence.fall()
    return not hold.lost


def _hold(connection: Connection, settings: Mapping[str, str]) -> Hold:
    """Begin. Raises ConfigurationError where each statement would be committed by itself: the driver knows when one has run."""
    fence = Fence(connection)
    try:
        connection.exec_driver_sql("select " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items()))
    except BaseException:
        fence.fall()
        raise
    wire = connection.connection.driver_connection
    if not in_transaction(wire):
        fence.fall()
        raise ConfigurationError(
            "App(transactions=engine): this engine commits each statement by itself, so nothing would be rolled back with the job; "
            'leave isolation_level="AUTOCOMMIT" out, or give the app an engine of its own'
        )
    return Hold(wire, fence)


@asynccontextmanager
async def async_session(tx: Transaction) -> AsyncGenerator[AsyncSession, None]:
    await tx.fetch("select 1")  # it begins
    if not isinstance(tx.connection, AsyncConnection):
        raise ConfigurationError(_NO_ENGINE)
    async with AsyncSession(bind=tx.connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
        yield session
        await session.commit()


@contextmanager
def sync_session(tx: SyncTransaction) -> Generator[Session, None, None]:
    tx.fetch("select 1")
    if not isinstance(tx.connection, Connection):
        raise ConfigurationError(_NO_ENGINE)
    with Session(bind=tx.connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
        yield session
        session.commit()


_NO_ENGINE = (
    "session(tx): this transaction runs on no engine of that kind; App(transactions=create_async_engine(…)) for async def handlers, "
    "App(transactions=create_engine(…)) and session(tx.sync) for def handlers"
)


@contextmanager
def _their_own() -> Generator[None, None, None]:
    """The driver's errors, not what SQLAlchemy wraps them in: they say what the server said."""
    try:
        yield
    except DBAPIError as error:
        original: BaseException | None = error.orig
        while original is not None and original.__cause__ is not None:
            original = original.__cause__
        raise (original or error) from error


def _driver(params: Any) -> Any:
    return tuple(params) if isinstance(params, list) else (params or None)
