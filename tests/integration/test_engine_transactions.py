"""`App(transactions=engine)` on SQLite: a session on a handler's transaction, as on PostgreSQL."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from penstock import App, Retry, Transaction
from penstock.errors import ConfigurationError, JobFailed, TransactionClosed
from penstock.integrations.sqlalchemy import session
from tests.integration.cli.console import PATIENCE
from tests.integration.play import rows

ONCE = Retry(attempts=1)


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


@pytest.fixture
async def make(fast: Path) -> AsyncIterator[Callable[[Any], App]]:
    """An app with that engine."""
    engine = create_engine(f"sqlite:///{fast}/shop.db")
    Base.metadata.create_all(engine)
    engine.dispose()
    apps: list[App] = []

    def make(engine: Any) -> App:
        apps.append(App(f"sqlite:///{fast}/shop.db", name="shop", transactions=engine))
        return apps[-1]

    yield make
    for app in apps:
        await app.close()


def names(fast: Path) -> list[str]:
    return [row[0] for row in rows(fast / "shop.db", "select name from users order by name")]


async def ends(app: App, *jobs: Any) -> list[str]:
    """Of jobs."""
    async with app.worker():
        await asyncio.gather(*(job.result(timeout=PATIENCE) for job in jobs), return_exceptions=True)
        return [await job.status() for job in jobs]


async def test_a_session_commits_with_the_job_whatever_it_commits_itself(make: Callable[[Any], App], fast: Path) -> None:
    app = make(create_async_engine(f"sqlite+aiosqlite:///{fast}/shop.db"))

    @app.task()
    async def welcome(name: str) -> str:
        return name

    @app.task(retry=ONCE)
    async def sign_up(tx: Transaction, name: str) -> int:
        await tx.execute("insert into users (name) values (:name)", name=f"{name}'s shadow")
        async with session(tx) as orm:
            user = User(name=name)
            orm.add(user)
            await orm.commit()
            orm.add(User(name=f"{name} again"))
            await orm.flush()
            found = (await orm.scalars(select(User.name).where(User.name.startswith(name)).order_by(User.id))).all()
            assert list(found) == [f"{name}'s shadow", name, f"{name} again"]
        await welcome.enqueue(name)
        if name == "eve":
            raise ValueError(name)
        return user.id

    jobs = [await sign_up.enqueue("sam"), await sign_up.enqueue("eve")]
    assert await ends(app, *jobs) == ["done", "dead"]
    assert names(fast) == ["sam", "sam again", "sam's shadow"]
    assert rows(fast / "shop.db", "select count(*) from penstock_message where task like '%welcome'") == [(1,)]


async def test_a_session_of_a_thread(make: Callable[[Any], App], fast: Path) -> None:
    app = make(create_engine(f"sqlite:///{fast}/shop.db"))

    @app.task(retry=ONCE)
    def sign_up(tx: Transaction, name: str) -> None:
        with session(tx.sync) as orm:
            orm.add(User(name=name))
            orm.commit()
            with pytest.raises(IntegrityError), orm.begin_nested():
                orm.execute(text("insert into users (name) values (:name)"), {"name": name})
            orm.add(User(name=f"{name} again"))
        if name == "eve":
            raise ValueError(name)

    assert await ends(app, await sign_up.enqueue("sam"), await sign_up.enqueue("eve")) == ["done", "dead"]
    assert names(fast) == ["sam", "sam again"]


async def test_many_rows_and_what_the_server_made_of_them(make: Callable[[Any], App], fast: Path) -> None:
    app = make(create_async_engine(f"sqlite+aiosqlite:///{fast}/shop.db"))
    async with app.transaction() as tx, session(tx) as orm:
        users = [User(name=f"user {n:02}") for n in range(50)]
        orm.add_all(users)
        await orm.flush()
        assert [user.id for user in users] == list(range(1, 51))
        result = await orm.execute(text("update users set name = upper(name) where id <= 10"))
        assert result.rowcount == 10  # type: ignore[attr-defined]
        streamed = [name async for name in await orm.stream_scalars(select(User.name).order_by(User.id).limit(3))]
        assert streamed == ["USER 00", "USER 01", "USER 02"]
    assert len(names(fast)) == 50


async def test_a_nested_transaction_takes_its_session_with_it(make: Callable[[Any], App], fast: Path) -> None:
    app = make(create_async_engine(f"sqlite+aiosqlite:///{fast}/shop.db"))
    async with app.transaction() as tx:
        async with session(tx) as orm:
            orm.add(User(name="sam"))
        with pytest.raises(KeyError):
            async with app.transaction() as nested, session(nested) as orm:
                orm.add(User(name="eve"))
                await orm.commit()
                raise KeyError
    assert names(fast) == ["sam"]


async def test_the_connection_is_the_librarys_and_ends_with_the_transaction(make: Callable[[Any], App], fast: Path) -> None:
    app = make(create_async_engine(f"sqlite+aiosqlite:///{fast}/shop.db"))
    async with app.transaction() as tx:
        await tx.fetch("select 1")
        connection = tx.connection
        assert isinstance(connection, AsyncConnection)
        assert (await connection.execute(text("select 2"))).scalar() == 2
    assert connection.closed
    with pytest.raises(TransactionClosed):
        _ = tx.connection
    del connection
    gc.collect()  # what is left open would warn now


async def test_a_raw_commit_is_refused(make: Callable[[Any], App], fast: Path) -> None:
    app = make(create_engine(f"sqlite:///{fast}/shop.db"))

    @app.task(retry=ONCE)
    def sign_up(tx: Transaction) -> None:
        with session(tx.sync) as orm:
            orm.execute(text("insert into users (name) values ('sam')"))
            orm.execute(text("commit"))

    async with app.worker():
        with pytest.raises(JobFailed, match="ended the transaction"):
            await (await sign_up.enqueue()).result(timeout=PATIENCE)


@pytest.mark.parametrize("end", ["rollback", "commit", "close"])
async def test_the_connection_does_not_end_the_transaction(make: Callable[[Any], App], fast: Path, end: str) -> None:
    app = make(create_engine(f"sqlite:///{fast}/shop.db"))
    awaited = make(create_async_engine(f"sqlite+aiosqlite:///{fast}/shop.db"))

    @app.task(retry=ONCE)
    def sign_up(tx: Transaction) -> None:
        tx.sync.execute("insert into users (name) values ('sam')")
        {"rollback": tx.connection.rollback, "commit": tx.connection.commit, "close": tx.connection.close}[end]()

    async with app.worker():
        with pytest.raises(JobFailed, match="this transaction is Penstock's"):
            await (await sign_up.enqueue()).result(timeout=PATIENCE)
    with pytest.raises(ConfigurationError, match="this transaction is Penstock's"):
        async with awaited.transaction() as tx:
            await tx.execute("insert into users (name) values ('kim')")
            await {"rollback": tx.connection.rollback, "commit": tx.connection.commit, "close": tx.connection.close}[end]()
    assert names(fast) == []


async def test_sessions_of_the_other_kind_are_refused_by_name(make: Callable[[Any], App], fast: Path) -> None:
    app = make(create_engine(f"sqlite:///{fast}/shop.db"))
    async with app.transaction() as tx:
        await tx.fetch("select 1")
        assert isinstance(tx.connection, Connection)
        with pytest.raises(ConfigurationError, match="transactions=create_async_engine"):
            async with session(tx):
                pass


@pytest.mark.parametrize("url", ["sqlite:///{fast}/other.db", "sqlite://", "postgresql+psycopg://localhost/shop"])
async def test_an_engine_on_another_database_is_refused(make: Callable[[Any], App], fast: Path, url: str) -> None:
    app = make(create_engine(url.format(fast=fast)))
    with pytest.raises(ConfigurationError, match="one transaction cannot span two databases"):
        async with app.transaction():
            pass
