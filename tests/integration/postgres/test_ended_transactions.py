"""A transaction that its user ends by `tx.connection`: refused where the driver asks us, else found out before anything is settled."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text

from penstock import App, Retry, Transaction
from penstock.errors import ConfigurationError, JobFailed
from tests.integration.postgres.shop import Shop, async_engine, opened

ONCE = Retry(attempts=1)
INSERT = "insert into users (name) values ('sam')"


@pytest.fixture
async def shop(postgres_url: str) -> AsyncIterator[Shop]:
    async with opened(postgres_url) as shop:
        yield shop


def sync_engine(shop: Shop) -> Any:
    return create_engine(shop.engine_url("psycopg"), connect_args={"options": f"-csearch_path={shop.schema}"})


async def fails(app: App, task: Any, why: str) -> None:
    async with app.worker():
        with pytest.raises(JobFailed, match=why):
            await (await task.enqueue()).result(timeout=20)


@pytest.mark.parametrize("end", ["rollback", "commit"])
async def test_sql_on_asyncpgs_connection(shop: Shop, end: str) -> None:
    app = shop.app()

    @app.task()
    async def welcome() -> None: ...

    @app.task(retry=ONCE)
    async def sign_up(tx: Transaction) -> None:
        await tx.execute(INSERT)
        await welcome.enqueue()
        await tx.connection.execute(end)

    await fails(app, sign_up, "TransactionClosed: something of yours ended the transaction, by tx.connection.*insert into users")
    assert shop.rows("select count(*) from users") == [(int(end == "commit"),)]
    assert shop.rows(f"select count(*) from {shop.schema}.message where task like '%welcome'") == [(0,)]


async def test_what_comes_after_it_is_refused(shop: Shop) -> None:
    app = shop.app()

    @app.task(retry=ONCE)
    async def sign_up(tx: Transaction) -> None:
        await tx.fetch("select 1")
        await tx.connection.execute("rollback")
        await tx.execute(INSERT)

    await fails(app, sign_up, "something of yours ended the transaction")
    assert shop.rows("select name from users") == []


async def test_who_committed_and_failed_then_is_told(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    app = shop.app()
    with caplog.at_level(logging.ERROR, "penstock.store"), pytest.raises(KeyError):
        async with app.transaction() as tx:
            await tx.execute(INSERT)
            await tx.connection.execute("commit")
            raise KeyError
    assert "something of yours ended the transaction" in caplog.text
    assert "what was committed there stays" in caplog.text


@pytest.mark.parametrize("end", ["rollback", "commit"])
async def test_psycopgs_methods_are_refused(shop: Shop, end: str) -> None:
    app = shop.app()

    @app.task(retry=ONCE)
    def sign_up(tx: Transaction) -> None:
        tx.sync.execute(INSERT)
        {"rollback": tx.connection.rollback, "commit": tx.connection.commit}[end]()

    await fails(app, sign_up, f"Explicit {end}.. forbidden")
    assert shop.rows("select name from users") == []


async def test_blocks_of_psycopgs_are_savepoints(shop: Shop) -> None:
    app = shop.app()

    @app.task(retry=ONCE)
    def sign_up(tx: Transaction) -> None:
        tx.sync.execute(INSERT)
        with tx.connection.transaction():
            tx.connection.execute("update users set name = 'kim'")
        with pytest.raises(psycopg.errors.UndefinedTable), tx.connection.transaction():
            tx.connection.execute("update nothing set name = 'eve'")

    async with app.worker():
        await (await sign_up.enqueue()).result(timeout=20)
    assert shop.rows("select name from users") == [("kim",)]


async def test_sql_on_psycopgs_connection(shop: Shop) -> None:
    app = shop.app()

    @app.task(retry=ONCE)
    def sign_up(tx: Transaction) -> None:
        tx.sync.execute(INSERT)
        tx.connection.execute("rollback")

    await fails(app, sign_up, "something of yours ended the transaction")
    assert shop.rows("select name from users") == []


@pytest.mark.parametrize("end", ["rollback", "commit", "close"])
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_methods_of_an_async_engines_connection_are_refused(shop: Shop, driver: str, end: str) -> None:
    engine = async_engine(shop, driver)
    app = shop.app(transactions=engine)

    @app.task(retry=ONCE)
    async def sign_up(tx: Transaction) -> None:
        await tx.execute(INSERT)
        with pytest.raises(ConfigurationError, match="this transaction is Penstock's"):
            await {"rollback": tx.connection.rollback, "commit": tx.connection.commit, "close": tx.connection.close}[end]()

    await fails(app, sign_up, "something of yours ended the transaction")
    assert shop.rows("select name from users") == []
    await engine.dispose()


@pytest.mark.parametrize("end", ["rollback", "commit", "close"])
async def test_methods_of_an_engines_connection_are_refused(shop: Shop, end: str) -> None:
    engine = sync_engine(shop)
    app = shop.app(transactions=engine)

    @app.task(retry=ONCE)
    def sign_up(tx: Transaction) -> None:
        tx.sync.execute(INSERT)
        {"rollback": tx.connection.rollback, "commit": tx.connection.commit, "close": tx.connection.close}[end]()

    await fails(app, sign_up, "this transaction is Penstock's")
    assert shop.rows("select name from users") == []
    engine.dispose()


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_sql_on_an_engines_connection(shop: Shop, driver: str) -> None:
    engine = async_engine(shop, driver)
    app = shop.app(transactions=engine)

    @app.task(retry=ONCE)
    async def sign_up(tx: Transaction) -> None:
        await tx.execute(INSERT)
        await tx.connection.execute(text("rollback"))

    await fails(app, sign_up, "something of yours ended the transaction")
    assert shop.rows("select name from users") == []
    await engine.dispose()
