"""What joining costs a user's transaction: one round trip, however it is opened; one more on a connection that was not met before."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
import psycopg
import pytest
from msgspec import Struct
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from penstock import App
from penstock.connect import administration
from penstock.errors import ConfigurationError
from tests.integration.postgres.wire import Wire

INSERT = "insert into users (name) values ('sam')"


class Placed(Struct):
    order: str


Joins: TypeAlias = Callable[[Any], Any]
"""Writes with Penstock in the transaction that it is given; is awaited where that is awaited."""
Transact: TypeAlias = Callable[[Joins], Awaitable[None]]
"""The user's: it writes a row, then what it is given, and commits. Always on one connection."""


class Shop:
    def __init__(self, app: App, wire: Wire, schema: str) -> None:
        self.wire, self.schema = wire, schema
        self.orders = app.topic("orders", Placed)
        self.accounts = app.topic("accounts", Placed, versioned=True)

        @app.task()
        async def welcome(name: str) -> None: ...

        self.welcome = welcome

    async def cost(self, transact: Transact, joins: Joins) -> int:
        """Of what joins."""
        start = self.wire.trips
        await transact(joins)
        with_it = self.wire.trips - start
        await transact(nothing_now if joins == self.joins_now else nothing)
        return with_it - (self.wire.trips - start - with_it)

    async def joins(self, tx: Any) -> None:
        await self.welcome.using(tx=tx).enqueue("sam")

    def joins_now(self, tx: Any) -> None:
        self.welcome.using(tx=tx).sync.enqueue("sam")


async def nothing(_: Any) -> None: ...


def nothing_now(_: Any) -> None: ...


@pytest.fixture
async def shop(postgres_url: str) -> AsyncIterator[Shop]:
    schema = f"shop_{secrets.token_hex(4)}"
    url = f"{postgres_url}?schema={schema}"
    administration(url).migrate()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"create table {schema}.users (name text)".encode())
        async with Wire.to(postgres_url) as wire:
            app = App(url, name="shop")
            shop = Shop(app, wire, schema)
            await shop.welcome.enqueue("first")
            await shop.orders.publish(Placed("first"))
            await shop.accounts.append("first", [Placed("first")], expected=None)
            yield shop
            await app.close()
        connection.execute(f"drop schema {schema} cascade".encode())


@asynccontextmanager
async def on_asyncpg(shop: Shop) -> AsyncIterator[Transact]:
    connection = await asyncpg.connect(shop.wire.url, server_settings={"search_path": shop.schema})

    async def transact(joins: Joins) -> None:
        async with connection.transaction():
            await connection.execute(INSERT)
            await joins(connection)

    yield transact
    await connection.close()


@asynccontextmanager
async def on_a_pool(shop: Shop) -> AsyncIterator[Transact]:
    async with asyncpg.create_pool(shop.wire.url, min_size=1, max_size=1, server_settings={"search_path": shop.schema}) as pool:

        async def transact(joins: Joins) -> None:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute(INSERT)
                await joins(connection)

        yield transact


@asynccontextmanager
async def on_psycopg(shop: Shop) -> AsyncIterator[Transact]:
    options = f"-csearch_path={shop.schema}"
    connection = await asyncio.to_thread(lambda: psycopg.connect(shop.wire.url, options=options, prepare_threshold=None))

    def block(joins: Joins) -> None:
        with connection.transaction():
            connection.execute(INSERT)
            joins(connection)

    async def transact(joins: Joins) -> None:
        await asyncio.to_thread(block, joins)

    yield transact
    connection.close()


@asynccontextmanager
async def on_async_psycopg(shop: Shop) -> AsyncIterator[Transact]:
    connection = await psycopg.AsyncConnection.connect(shop.wire.url, options=f"-csearch_path={shop.schema}", prepare_threshold=None)

    async def transact(joins: Joins) -> None:
        async with connection.transaction():
            await connection.execute(INSERT)
            await joins(connection)

    yield transact
    await connection.close()


@asynccontextmanager
async def on_a_session(shop: Shop) -> AsyncIterator[Transact]:
    engine = create_engine(driven(shop, "psycopg"), connect_args={"options": f"-csearch_path={shop.schema}", "prepare_threshold": None})

    def block(joins: Joins) -> None:
        with Session(engine) as session, session.begin():
            session.execute(text(INSERT))
            joins(session)

    async def transact(joins: Joins) -> None:
        await asyncio.to_thread(block, joins)

    yield transact
    engine.dispose()


@asynccontextmanager
async def on_an_async_session(shop: Shop) -> AsyncIterator[Transact]:
    settings = {"server_settings": {"search_path": shop.schema}}
    engine = create_async_engine(driven(shop, "asyncpg"), connect_args=settings)

    async def transact(joins: Joins) -> None:
        async with AsyncSession(engine) as session, session.begin():
            await session.execute(text(INSERT))
            await joins(session)

    yield transact
    await engine.dispose()


def driven(shop: Shop, driver: str) -> str:
    return shop.wire.url.replace("postgresql://", f"postgresql+{driver}://")


Open: TypeAlias = Callable[[Shop], AbstractAsyncContextManager[Transact]]
ASYNC: list[Open] = [on_asyncpg, on_a_pool, on_async_psycopg, on_an_async_session]
BLOCKING: list[Open] = [on_psycopg, on_a_session]


@pytest.mark.parametrize("opens", [*ASYNC, *BLOCKING])
async def test_a_job_costs_one_round_trip(shop: Shop, opens: Open) -> None:
    joins = shop.joins_now if opens in BLOCKING else shop.joins
    async with opens(shop) as transact:
        first = await shop.cost(transact, joins)
        assert [await shop.cost(transact, joins) for _ in range(3)] == [1, 1, 1]
        assert first >= 2


async def test_who_enqueues_at_the_same_time_shares_round_trips(shop: Shop) -> None:
    """The first one goes alone; those that came meanwhile together."""
    await shop.welcome.enqueue("sam")
    start = shop.wire.trips
    await asyncio.gather(*(shop.welcome.enqueue("sam") for _ in range(100)))
    assert shop.wire.trips - start <= 6


@pytest.mark.parametrize("opens", ASYNC)
async def test_an_event_costs_one_round_trip(shop: Shop, opens: Open) -> None:
    async with opens(shop) as transact:
        for joins in (publish(shop), append(shop)):
            await shop.cost(transact, joins)
            assert [await shop.cost(transact, joins) for _ in range(3)] == [1, 1, 1]


def publish(shop: Shop) -> Joins:
    return lambda tx: shop.orders.using(tx=tx).publish(Placed("o-1"))


def append(shop: Shop) -> Joins:
    return lambda tx: shop.accounts.using(tx=tx).append("o-1", [Placed("o-1")], expected=None)


async def test_durability_is_looked_at_in_each_transaction(shop: Shop) -> None:
    """A known connection, and an event or a job that is refused leaves the user's transaction as it was."""
    connection = await asyncpg.connect(shop.wire.url)
    for joins in (shop.joins, publish(shop), append(shop)):
        async with connection.transaction():
            await joins(connection)
        async with connection.transaction():
            await connection.execute("set local synchronous_commit = off")
            start = shop.wire.trips
            with pytest.raises(ConfigurationError, match="synchronous_commit = off"):
                await joins(connection)
            assert shop.wire.trips == start + 1
            assert await connection.fetchval("select 1") == 1
    counts = [await connection.fetchval(f"select count(*) from {shop.schema}.{table}") for table in ("message", "event")]
    assert counts == [2, 4]
    await connection.close()
