"""The time limit of a transaction, whoever carries it: a statement that runs is cancelled, a process that stands still is ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from penstock.config import masked
from penstock.errors import StoreUnavailable, TransactionClosed
from penstock.integrations.sqlalchemy import carriers
from penstock.observe.signals import Signals
from penstock.stores.postgres.address import parse
from penstock.stores.postgres.store import PostgresStore, Transactions
from tests.integration.postgres.shop import Shop, opened

LIMIT, LONG = 0.3, 20.0
CARRIERS = pytest.mark.parametrize("carrier", ["asyncpg", "psycopg", "asyncpg engine", "psycopg engine", "sync engine"])
Open: TypeAlias = Callable[[str, float], Awaitable[PostgresStore]]


@pytest.fixture
async def shop(postgres_url: str) -> AsyncIterator[Shop]:
    async with opened(postgres_url) as shop:
        yield shop


@asynccontextmanager
async def store_on(shop: Shop, carrier: str, limit: float) -> AsyncIterator[PostgresStore]:
    engine: Any = None
    if carrier.endswith("engine"):
        kind = carrier.removesuffix(" engine")
        engine = create_engine(shop.engine_url("psycopg")) if kind == "sync" else create_async_engine(shop.engine_url(kind))
    how = Transactions(limit, psycopg, None if engine is None else carriers(engine))
    store = PostgresStore(parse(shop.url, masked(shop.url)), signals=Signals(), transactions=how)
    await store.open()
    yield store
    await store.close()
    if engine is not None and (disposing := engine.dispose()) is not None:
        await disposing


def begun(store: PostgresStore, carrier: str) -> Any:
    return store.transaction(blocking=carrier == "psycopg")


@CARRIERS
async def test_a_statement_that_runs_is_cancelled(shop: Shop, carrier: str) -> None:
    async with store_on(shop, carrier, LIMIT) as store:
        start = time.monotonic()
        with pytest.raises(TransactionClosed, match="pg_sleep"):
            await begun(store, carrier).fetch(f"select pg_sleep({LONG})", {})
        assert time.monotonic() - start < LONG / 2
        assert (await begun(store, carrier).fetch("select 1 as one", {}))[0]["one"] == 1
    assert shop.rows("select count(*) from pg_stat_activity where query like '%pg_sleep(20%' and pid <> pg_backend_pid()") == [(0,)]


@CARRIERS
async def test_who_waits_for_a_lock_waits_no_longer(shop: Shop, carrier: str) -> None:
    with psycopg.connect(shop.bare) as holder:
        holder.execute(f"lock table {shop.schema}.users".encode())
        async with store_on(shop, carrier, LIMIT) as store:
            with pytest.raises(TransactionClosed, match="insert into"):
                await begun(store, carrier).execute(f"insert into {shop.schema}.users (name) values ('sam')", {})
        assert holder.execute("select count(*) from pg_locks where not granted").fetchone() == (0,)


@pytest.mark.parametrize("carrier", ["psycopg", "sync engine"])
async def test_a_statement_of_the_handlers_own_is_cancelled(shop: Shop, carrier: str) -> None:
    """It runs on the handler's thread, and nobody of ours waits for it."""
    async with store_on(shop, carrier, LIMIT) as store:
        tx = begun(store, carrier)
        await tx.fetch("select 1", {})
        connection = tx.connection if carrier == "psycopg" else tx.connection.connection.driver_connection
        start = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled):
            await asyncio.to_thread(connection.execute, f"select pg_sleep({LONG})")
        assert time.monotonic() - start < LONG / 2


@CARRIERS
async def test_the_server_ends_what_stands_still(shop: Shop, carrier: str) -> None:
    """A little later than a process that lives would."""
    async with store_on(shop, carrier, 600.0) as store:
        tx = begun(store, carrier)
        ((found,),) = [row.values() for row in await tx.fetch("select current_setting('idle_in_transaction_session_timeout') as found", {})]
        assert found == "605s"
        await tx.execute("set local idle_in_transaction_session_timeout = 1", {})
        await asyncio.to_thread(gone, shop)
        with pytest.raises(StoreUnavailable):
            await tx.fetch("select 1", {})


def gone(shop: Shop) -> None:
    """Nobody is idle in a transaction."""
    until = time.monotonic() + 10
    while shop.rows("select count(*) from pg_stat_activity where state = 'idle in transaction'") != [(0,)]:
        assert time.monotonic() < until
