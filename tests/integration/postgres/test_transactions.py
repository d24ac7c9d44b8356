"""Handlers' transactions, whoever carries them: user's rows, acknowledgement and follow-ups commit together, or not at all."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from penstock import App, Context, Retry, Transaction
from penstock.errors import ConfigurationError
from penstock.integrations.sqlalchemy import session
from penstock.testing.conformance.ground import until
from tests.integration.postgres.shop import Shop, async_engine, opened

ONCE = Retry(attempts=1)


@pytest.fixture
async def shop(postgres_url: str) -> AsyncIterator[Shop]:
    async with opened(postgres_url) as shop:
        yield shop


async def run(app: App, *jobs: Any) -> None:
    async with app.worker():
        for job in jobs:
            await job.status()
            try:
                await job.result(timeout=20)
            except Exception as error:
                assert "refused" in str(error), error


def tasks(app: App, kind: str) -> tuple[Any, Any]:
    """`sign_up` writes a row and enqueues `welcome`; a name that begins with bad- is refused after both."""

    @app.task()
    async def welcome(name: str) -> str:
        return f"welcome {name}"

    insert = "insert into users (name) values (:name)"
    if kind == "async":

        @app.task(retry=ONCE)
        async def sign_up(tx: Transaction, name: str) -> None:
            assert await tx.execute(insert, name=name) == 1
            await welcome.using(id=f"welcome-{name}").enqueue(name)
            if name.startswith("bad-"):
                raise ValueError("refused")

        return sign_up, welcome

    @app.task(retry=ONCE)
    def sign_up_on_a_thread(tx: Transaction, name: str) -> None:
        assert tx.sync.execute(insert, name=name) == 1
        welcome.using(id=f"welcome-{name}").sync.enqueue(name)
        if name.startswith("bad-"):
            raise ValueError("refused")

    return sign_up_on_a_thread, welcome


def engine_of(shop: Shop, carrier: str) -> Any:
    """None: the store's own connections."""
    if carrier == "sync engine":
        return create_engine(shop.engine_url("psycopg"), connect_args={"options": f"-csearch_path={shop.schema}"})
    return None if carrier == "own" else async_engine(shop, carrier)


async def dispose(engine: Any) -> None:
    if isinstance(engine, AsyncEngine):
        await engine.dispose()
    elif engine is not None:
        engine.dispose()


@pytest.mark.parametrize("kind", ["async", "thread"])
@pytest.mark.parametrize("carrier", ["own", "asyncpg", "psycopg", "sync engine"])
async def test_rows_and_follow_ups_commit_with_the_job(shop: Shop, carrier: str, kind: str) -> None:
    engine = engine_of(shop, carrier)
    app = shop.app(transactions=engine)
    sign_up, _ = tasks(app, kind)
    jobs = [await sign_up.enqueue("sam"), await sign_up.enqueue("bad-eve")]
    await run(app, *jobs)
    assert shop.rows("select name from users") == [("sam",)]
    assert shop.rows(f"select id from {shop.schema}.message where id like 'welcome-%'") == [("welcome-sam",)]
    assert [await job.status() for job in jobs] == ["done", "dead"]
    await dispose(engine)


@pytest.mark.parametrize("kind", ["async", "thread"])
@pytest.mark.parametrize("carrier", ["own", "asyncpg", "psycopg", "sync engine"])
async def test_who_has_lost_its_lease_leaves_nothing(shop: Shop, carrier: str, kind: str) -> None:
    """Its last statement, the settle, finds that the job is somebody else's."""
    engine = engine_of(shop, carrier)
    app = shop.app(transactions=engine)
    steal = f"update {shop.schema}.leased set owner = owner + 1 returning 1"
    insert = "insert into users (name) values ('sam')"
    stolen: list[object] = []

    @app.task()
    async def follow_up() -> None: ...

    @app.task()
    async def slow(tx: Transaction) -> None:
        await tx.execute(insert)
        await follow_up.using(id="follow-up").enqueue()
        stolen.extend(await asyncio.to_thread(shop.rows, steal))

    @app.task()
    def slow_on_a_thread(tx: Transaction) -> None:
        tx.sync.execute(insert)
        follow_up.using(id="follow-up").sync.enqueue()
        stolen.extend(shop.rows(steal))

    job = await (slow if kind == "async" else slow_on_a_thread).enqueue()
    async with app.worker():
        await until(lambda: bool(stolen), "the handler to lose its lease", 20)
    assert stolen == [(1,)]
    assert shop.rows("select name from users") == []
    assert shop.rows(f"select id from {shop.schema}.message") == [(job.id,)]
    assert shop.rows(f"select outcome from {shop.schema}.finished") == []
    await dispose(engine)


async def test_a_session_commits_with_the_job_whatever_it_commits_itself(shop: Shop) -> None:
    engine = async_engine(shop, "asyncpg")
    app = shop.app(transactions=engine)

    @app.task(retry=ONCE)
    async def sign_up(tx: Transaction, name: str) -> None:
        async with session(tx) as orm:
            await orm.execute(text("insert into users (name) values (:name)"), {"name": name})
            await orm.commit()
            await orm.execute(text("insert into users (name) values (:name)"), {"name": f"{name} again"})
        if name == "eve":
            raise ValueError("refused")

    await run(app, await sign_up.enqueue("sam"), await sign_up.enqueue("eve"))
    assert sorted(shop.rows("select name from users")) == [("sam",), ("sam again",)]
    await engine.dispose()


async def test_a_session_of_a_thread(shop: Shop) -> None:
    engine = create_engine(shop.engine_url("psycopg"), connect_args={"options": f"-csearch_path={shop.schema}"})
    app = shop.app(transactions=engine)

    @app.task(retry=ONCE)
    def sign_up(tx: Transaction, name: str) -> None:
        with session(tx.sync) as orm:
            orm.execute(text("insert into users (name) values (:name)"), {"name": name})
            orm.commit()
        if name == "eve":
            raise ValueError("refused")

    await run(app, await sign_up.enqueue("sam"), await sign_up.enqueue("eve"))
    assert shop.rows("select name from users") == [("sam",)]
    engine.dispose()


async def test_a_session_without_an_engine_is_refused_by_name(shop: Shop) -> None:
    async with shop.app().transaction() as tx:
        with pytest.raises(ConfigurationError, match="transactions=create_async_engine"):
            async with session(tx):
                pass


async def test_a_def_handler_gets_a_connection_for_its_thread(shop: Shop) -> None:
    app = shop.app()
    seen: list[str] = []

    @app.task(retry=ONCE)
    def sign_up(tx: Transaction) -> None:
        tx.sync.fetch("select 1")
        seen.append(type(tx.connection).__module__)
        tx.connection.execute("insert into users (name) values ('by its own connection')")

    await run(app, await sign_up.enqueue())
    assert seen == ["psycopg"]
    assert shop.rows("select name from users") == [("by its own connection",)]


async def test_without_psycopg_a_def_handler_with_tx_is_refused_at_the_start(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    app = shop.app()

    @app.task()
    async def fine(tx: Transaction) -> None: ...

    async with app.worker():
        await (await fine.enqueue()).result(timeout=20)

    @app.task()
    def sign_up(tx: Transaction) -> None: ...

    with pytest.raises(ConfigurationError, match=r"sign_up: .*psycopg.*penstock\[postgres\]"):
        async with app.worker():
            pass
    monkeypatch.undo()


async def test_an_engine_of_another_driver_is_refused_at_the_start(shop: Shop, tmp_path: Path) -> None:
    app = shop.app(transactions=create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/shop.db"))

    @app.task()
    async def sign_up(tx: Transaction) -> None: ...

    with pytest.raises(ConfigurationError, match=r"sign_up: .* not on aiosqlite"):
        async with app.worker():
            pass


async def test_a_statement_that_failed_spoils_the_job_whatever_becomes_of_the_error(shop: Shop) -> None:
    app = shop.app()

    @app.task(retry=ONCE)
    async def careless(ctx: Context, tx: Transaction) -> None:
        await tx.execute("insert into users (name) values ('sam')")
        with pytest.raises(Exception, match="no_such_table"):
            await tx.execute("insert into no_such_table values (1)")

    @app.task(retry=ONCE)
    async def careful(tx: Transaction) -> None:
        await tx.execute("insert into users (name) values ('kim')")
        with pytest.raises(Exception, match="no_such_table"):
            async with app.transaction() as nested:
                await nested.execute("insert into no_such_table values (1)")

    first, second = await careless.enqueue(), await careful.enqueue()
    async with app.worker():
        with pytest.raises(Exception, match="PostgreSQL keeps nothing of it"):
            await first.result(timeout=20)
        await second.result(timeout=20)
    assert shop.rows("select name from users") == [("kim",)]


async def test_nothing_is_left_open(shop: Shop) -> None:
    """What a handler left behind, its own connection is free of."""
    app = shop.app()
    sign_up, _ = tasks(app, "async")
    await run(app, *[await sign_up.enqueue(f"user-{n}") for n in range(30)])
    found = shop.rows("select count(*) from pg_stat_activity where state like 'idle in transaction%' and datname = current_database()")
    assert found == [(0,)]
    assert shop.rows("select count(*) from users") == [(30,)]
