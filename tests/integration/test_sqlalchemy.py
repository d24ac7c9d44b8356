"""Jobs in the user's own transaction: SQLAlchemy's sessions and connections, sync and async."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from penstock import App, Job, Task
from penstock.errors import ConfigurationError, NotFound
from penstock.integrations.sqlalchemy import prepare
from tests.integration.cli.console import PATIENCE
from tests.integration.play import opened, rows


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


@pytest.fixture
async def welcome(shop: App) -> Task[[str], str]:
    """The app has been used; the user's tables are there."""

    @shop.task()
    async def welcome(name: str) -> str:
        return f"welcome {name}"

    async with shop.transaction() as tx:
        await tx.execute("create table users (id integer primary key, name text not null)")
    return welcome


@pytest.fixture
def engine(fast: Path) -> Iterator[Engine]:
    made = prepare(create_engine(f"sqlite:///{fast}/shop.db"))
    yield made
    made.dispose()


@pytest.fixture
async def async_engine(fast: Path) -> AsyncIterator[AsyncEngine]:
    made = prepare(create_async_engine(f"sqlite+aiosqlite:///{fast}/shop.db"))
    yield made
    await made.dispose()


def names(fast: Path) -> list[str]:
    return [row[0] for row in rows(fast / "shop.db", "select name from users order by id")]


def welcomed(fast: Path) -> list[str]:
    found = rows(fast / "shop.db", "select body ->> 'name' from penstock_message where task = 'shop.welcome' order by seq")
    return [row[0] for row in found]


# -- commit and rollback


async def test_a_session_commits_its_jobs(shop: App, welcome: Task[[str], str], engine: Engine, fast: Path) -> None:
    async with shop.worker():
        with Session(engine) as session, session.begin():
            session.add(User(name="ada"))
            session.flush()
            job = await welcome.using(tx=session).enqueue("ada")
            later = await shop.enqueue_many([welcome.using(tx=session).bind(name) for name in ("bob", "cyd")])
            with pytest.raises(NotFound):
                await job.status()
        assert [await one.result(timeout=PATIENCE) for one in (job, *later)] == ["welcome ada", "welcome bob", "welcome cyd"]
    assert names(fast) == ["ada"]


async def test_a_session_rolls_its_jobs_back(welcome: Task[[str], str], engine: Engine, fast: Path) -> None:
    with pytest.raises(KeyError), Session(engine) as session, session.begin():
        session.add(User(name="ada"))
        await welcome.using(tx=session).enqueue("ada")
        raise KeyError
    assert (names(fast), welcomed(fast)) == ([], [])


async def test_an_async_session_commits_or_rolls_back(shop: App, welcome: Task[[str], str], async_engine: AsyncEngine, fast: Path) -> None:
    async with shop.worker():
        async with AsyncSession(async_engine) as session, session.begin():
            session.add(User(name="ada"))
            await session.flush()
            job = await welcome.using(tx=session).enqueue("ada")
        assert await job.result(timeout=PATIENCE) == "welcome ada"
    with pytest.raises(KeyError):
        async with AsyncSession(async_engine) as session, session.begin():
            session.add(User(name="bob"))
            await welcome.using(tx=session).enqueue("bob")
            raise KeyError
    assert (names(fast), welcomed(fast)) == (["ada"], ["ada"])


async def test_a_connection_commits_or_rolls_back(welcome: Task[[str], str], engine: Engine, fast: Path) -> None:
    with engine.connect() as connection:
        for name in ("ada", "bob"):
            connection.execute(text("insert into users (name) values (:name)"), {"name": name})
            await welcome.using(tx=connection).enqueue(name)
            if name == "ada":
                connection.commit()
            else:
                connection.rollback()
    assert (names(fast), welcomed(fast)) == (["ada"], ["ada"])


async def test_an_async_connection_is_joined(welcome: Task[[str], str], async_engine: AsyncEngine, fast: Path) -> None:
    async with async_engine.begin() as connection:
        await connection.execute(text("insert into users (name) values ('ada')"))
        await welcome.using(tx=connection).enqueue("ada")
    assert (names(fast), welcomed(fast)) == (["ada"], ["ada"])


async def test_a_savepoint_takes_its_jobs_with_it(welcome: Task[[str], str], engine: Engine, fast: Path) -> None:
    with Session(engine) as session, session.begin():
        await welcome.using(tx=session).enqueue("outer")
        with pytest.raises(KeyError), session.begin_nested():
            session.add(User(name="inner"))
            session.flush()
            await welcome.using(tx=session).enqueue("inner")
            raise KeyError
        with session.begin_nested():
            await welcome.using(tx=session).enqueue("kept")
    assert (names(fast), welcomed(fast)) == ([], ["outer", "kept"])


async def test_many_sessions_at_once_lose_nothing(shop: App, welcome: Task[[str], str], engine: Engine, fast: Path) -> None:
    """Web requests on threads, the app's own writes, and a worker, on one file."""

    def request(n: int) -> Job[str]:
        with Session(engine) as session, session.begin():
            user = User(name=f"u{n}")
            session.add(user)
            session.flush()
            return welcome.using(tx=session).sync.enqueue(user.name)

    async with shop.worker():
        joined = asyncio.gather(*(asyncio.to_thread(request, n) for n in range(40)))
        own = await asyncio.gather(*(welcome.enqueue(f"own{n}") for n in range(40)))
        for job in (*await joined, *own):
            await job.result(timeout=PATIENCE)
    assert sorted(names(fast)) == sorted(f"u{n}" for n in range(40))
    assert len(welcomed(fast)) == len(set(welcomed(fast))) == 80


# -- the first use


@pytest.mark.parametrize("sync", [False, True])
async def test_the_first_use_inside_a_session_that_has_written(welcome: Task[[str], str], engine: Engine, fast: Path, sync: bool) -> None:
    """The session holds the file's write lock: whoever opens the store now must not wait for it (and fail after 5 s)."""
    async with opened(fast / "shop.db") as fresh:

        @fresh.task(name="welcome")
        async def welcome_too(name: str) -> None: ...

        def request() -> None:
            with Session(engine) as session, session.begin():
                session.add(User(name="ada"))
                session.flush()
                welcome_too.using(tx=session).sync.enqueue("ada")

        if sync:
            await asyncio.to_thread(request)
        else:
            with Session(engine) as session, session.begin():
                session.add(User(name="ada"))
                session.flush()
                await welcome_too.using(tx=session).enqueue("ada")
    assert (names(fast), welcomed(fast)) == (["ada"], ["ada"])


# -- engines


async def test_an_engine_that_is_not_prepared_works_and_warns_once(welcome: Task[[str], str], fast: Path) -> None:
    engine = create_engine(f"sqlite:///{fast}/shop.db")
    with Session(engine) as session:
        with pytest.warns(UserWarning, match=r"automatic checkpoints on; they are off now.*prepare\(engine\)"):
            await welcome.using(tx=session).enqueue("ada")
        session.commit()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            session.add(User(name="bob"))
            await welcome.using(tx=session).enqueue("bob")
            session.commit()
            await welcome.using(tx=session).enqueue("cyd")
            session.rollback()
    engine.dispose()
    assert (names(fast), welcomed(fast)) == (["bob"], ["ada", "bob"])


async def test_a_session_on_another_file_is_refused(welcome: Task[[str], str], fast: Path) -> None:
    for url in (f"sqlite:///{fast}/other.db", "sqlite://"):
        engine = prepare(create_engine(url))
        with Session(engine) as session, pytest.raises(ConfigurationError, match="one transaction cannot span two stores"):
            await welcome.using(tx=session).enqueue("ada")
        engine.dispose()
    assert welcomed(fast) == []


async def test_weaker_durability_is_refused_unless_inherited(welcome: Task[[str], str], fast: Path) -> None:
    engine = prepare(create_engine(f"sqlite:///{fast}/shop.db"))

    @event.listens_for(engine, "connect")
    def weaken(connection: Any, _: object) -> None:
        connection.execute("pragma synchronous = normal")

    with Session(engine) as session, session.begin():
        with pytest.raises(ConfigurationError, match=r"lost on power failure.*prepare\(engine\).*durability='inherit'"):
            await welcome.using(tx=session).enqueue("ada")
        session.add(User(name="goes on"))
    async with opened(fast / "shop.db", durability="inherit") as lenient:

        @lenient.task(name="welcome")
        async def welcome_too(name: str) -> None: ...

        with Session(engine) as session, session.begin():
            await welcome_too.using(tx=session).enqueue("bob")
    engine.dispose()
    assert (names(fast), welcomed(fast)) == (["goes on"], ["bob"])


async def test_an_async_session_is_awaited(welcome: Task[[str], str], async_engine: AsyncEngine, fast: Path) -> None:
    async with AsyncSession(async_engine) as session, session.begin():
        await session.connection()
        with pytest.raises(ConfigurationError, match=r"await welcome\.enqueue"):
            welcome.using(tx=session).sync.enqueue("on the loop")
        with pytest.raises(ConfigurationError, match=r"await welcome\.enqueue"):
            await asyncio.to_thread(lambda: welcome.using(tx=session).sync.enqueue("on a thread"))
    assert welcomed(fast) == []


async def test_what_is_no_connection_is_refused_by_name(welcome: Task[[str], str], engine: Engine) -> None:
    with pytest.raises(ConfigurationError, match=r"tx=Engine.*Session, AsyncSession, Connection or AsyncConnection"):
        await welcome.using(tx=engine).enqueue("ada")
    with pytest.raises(ConfigurationError, match="tx=object"):
        await welcome.using(tx=object()).enqueue("ada")


async def test_a_session_that_commits_each_statement_is_not_joined(welcome: Task[[str], str], fast: Path) -> None:
    engine = create_engine(f"sqlite:///{fast}/shop.db", isolation_level="AUTOCOMMIT")
    async_engine = create_async_engine(f"sqlite+aiosqlite:///{fast}/shop.db", isolation_level="AUTOCOMMIT")
    for each in (engine, async_engine.sync_engine):
        event.listen(each, "connect", lambda connection, _: connection.execute("pragma wal_autocheckpoint = 0").close())
    with pytest.raises(ConfigurationError, match="commits each statement"), Session(engine) as session, session.begin():
        await welcome.using(tx=session).enqueue("ada")
    with pytest.raises(ConfigurationError, match="commits each statement"):
        async with AsyncSession(async_engine) as orm, orm.begin():
            await welcome.using(tx=orm).enqueue("ada")
    assert welcomed(fast) == []
    engine.dispose()
    await async_engine.dispose()
