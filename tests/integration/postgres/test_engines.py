"""`App(transactions=engine)` and `using(tx=session)` on engines that would break one commit: they are refused, by name."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from penstock import App, Retry, Transaction
from penstock.connect import administration
from penstock.errors import ConfigurationError, JobFailed
from tests.integration.postgres.shop import Shop, opened

AUTOCOMMIT = "AUTOCOMMIT"
ONCE = Retry(attempts=1)
ENGINES = pytest.mark.parametrize("driver", ["asyncpg", "psycopg", "sync"])


@pytest.fixture
async def shop(postgres_url: str) -> AsyncIterator[Shop]:
    async with opened(postgres_url) as shop:
        yield shop


@pytest.fixture
def staging(shop: Shop) -> Iterator[str]:
    """The URL of another database with the same schema."""
    name = f"staging_{secrets.token_hex(4)}"
    with psycopg.connect(shop.bare, autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
        url = shop.bare.rpartition("/")[0] + f"/{name}"
        administration(f"{url}?schema={shop.schema}").migrate()
        yield url
        connection.execute(f"drop database {name} with (force)".encode())


def engine_on(url: str, driver: str, **options: Any) -> Any:
    if driver == "sync":
        return create_engine(url.replace("://", "+psycopg://"), **options)
    return create_async_engine(url.replace("://", f"+{driver}://"), **options)


async def dispose(engine: Any) -> None:
    if (disposing := engine.dispose()) is not None:
        await disposing


def signing_up(app: App) -> Any:
    """It writes a row, and is refused."""

    @app.task(retry=ONCE)
    async def sign_up(tx: Transaction) -> None:
        await tx.execute("insert into users (name) values ('sam')")
        raise ValueError("refused")

    return sign_up


@ENGINES
async def test_an_engine_on_another_database_is_refused_at_the_start(shop: Shop, staging: str, driver: str) -> None:
    engine = engine_on(staging, driver)
    app = shop.app(transactions=engine)
    signing_up(app)
    with pytest.raises(ConfigurationError, match=rf"sign_up: .*/staging_\w+, .*{shop.schema}.*two databases"):
        async with app.worker():
            pass
    await dispose(engine)


@ENGINES
async def test_a_transaction_on_another_database_is_refused(shop: Shop, staging: str, driver: str) -> None:
    engine = engine_on(staging, driver)
    with pytest.raises(ConfigurationError, match="two databases"):
        async with shop.app(transactions=engine).transaction() as tx:
            await tx.fetch("select 1")
    await dispose(engine)


async def test_an_engine_that_goes_elsewhere_later_fails_its_job(shop: Shop, staging: str) -> None:
    """Each of its connections is asked, and the job is not given back for ever."""
    urls = iter((shop.bare, staging, staging))
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(next(urls)), poolclass=NullPool)
    app = shop.app(transactions=engine)
    sign_up = signing_up(app)
    async with app.worker():
        with pytest.raises(JobFailed, match="two databases"):
            await (await sign_up.enqueue()).result(timeout=20)


@ENGINES
async def test_an_engine_that_commits_each_statement_is_refused_at_the_start(shop: Shop, driver: str) -> None:
    engine = engine_on(shop.bare, driver, isolation_level=AUTOCOMMIT)
    app = shop.app(transactions=engine)
    signing_up(app)
    with pytest.raises(ConfigurationError, match=r"sign_up: .*commits each statement"):
        async with app.worker():
            pass
    await dispose(engine)


@ENGINES
async def test_a_session_that_commits_each_statement_is_not_joined(shop: Shop, driver: str) -> None:
    engine = engine_on(shop.bare, driver, isolation_level=AUTOCOMMIT)
    app = shop.app()
    sign_up = signing_up(app)
    with pytest.raises(ConfigurationError, match="commits each statement"):
        if driver == "sync":
            with Session(engine) as orm, orm.begin():
                await sign_up.using(tx=orm).enqueue()
        else:
            async with AsyncSession(engine) as awaited, awaited.begin():
                await sign_up.using(tx=awaited).enqueue()
    assert shop.rows(f"select count(*) from {shop.schema}.message") == [(0,)]
    await dispose(engine)


async def test_a_transaction_begun_by_hand_is_joined(shop: Shop) -> None:
    engine = engine_on(shop.bare, "sync", isolation_level=AUTOCOMMIT)
    app = shop.app()
    sign_up = signing_up(app)
    with engine.connect() as connection:
        for end, kept in (("rollback", 0), ("commit", 1)):
            connection.execute(text("begin"))
            await sign_up.using(tx=connection).enqueue()
            connection.execute(text(end))
            assert shop.rows(f"select count(*) from {shop.schema}.message") == [(kept,)]
    engine.dispose()
