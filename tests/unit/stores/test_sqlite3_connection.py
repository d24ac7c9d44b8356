"""What a user's `sqlite3.Connection` may be, and what its implicit transactions do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.errors import ConfigurationError, StoreUnavailable
from penstock.model.job import JobFilter
from penstock.model.log import Append, Event, TopicSpec
from penstock.model.message import Message
from penstock.observe.signals import Signals
from penstock.stores.sqlite.joined import Sqlite3Connection
from penstock.stores.sqlite.store import SqliteStore


@pytest.fixture
def user(store: SqliteStore, path: Path) -> Iterator[sqlite3.Connection]:
    """As the module gives it: a transaction begins by itself at the first statement that writes."""
    connection = sqlite3.connect(path, timeout=0.02)
    connection.execute("pragma wal_autocheckpoint = 0")
    yield connection
    connection.close()


async def known(store: SqliteStore) -> list[str]:
    return [job.id for job in (await store.inspect.jobs(JobFilter(), limit=9)).jobs]


async def test_the_put_begins_the_transaction_if_nothing_has(store: SqliteStore, user: sqlite3.Connection, message: Message) -> None:
    """Before it reads: nobody can commit between its reading and its writing."""
    seen: list[bool] = []
    user.set_trace_callback(lambda sql: seen.append(user.in_transaction) if "sqlite_sequence" in sql else None)
    await store.join(user).put([message])
    assert seen[:1] == [True]
    assert await known(store) == []
    user.rollback()
    assert await known(store) == []
    store.join(user).put_now([message])
    user.commit()
    assert await known(store) == ["a"]


async def test_without_implicit_transactions_one_must_be_open(store: SqliteStore, path: Path, message: Message) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma wal_autocheckpoint = 0")
    with pytest.raises(ConfigurationError, match="begin immediate"):
        store.join(connection)
    connection.execute("begin immediate")
    await store.join(connection).put([message])
    connection.execute("commit")
    connection.close()
    assert await known(store) == ["a"]


async def test_a_transaction_that_read_an_older_state_is_refused(store: SqliteStore, user: sqlite3.Connection, message: Message) -> None:
    """SQLite cannot let it write; the user begins again."""
    user.execute("begin")
    user.execute("select count(*) from penstock_message").fetchall()
    await store.queue.put([Message("first", "mail", "send", b"{}")])
    with pytest.raises(StoreUnavailable):
        await store.join(user).put([message])
    user.rollback()
    await store.join(user).put([message])
    user.commit()
    assert await known(store) == ["a", "first"]


async def test_a_database_in_memory_is_refused(store: SqliteStore, message: Message) -> None:
    connection = sqlite3.connect(":memory:")
    with pytest.raises(ConfigurationError, match="in memory"):
        await store.join(connection).put([message])
    connection.close()


async def test_another_name_of_the_same_file_is_joined(store: SqliteStore, path: Path, message: Message) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    connection = sqlite3.connect(link)
    connection.execute("pragma wal_autocheckpoint = 0")
    await store.join(connection).put([message])
    connection.commit()
    connection.close()
    assert await known(store) == ["a"]


async def test_automatic_checkpoints_are_switched_off_with_a_warning_once(store: SqliteStore, path: Path, message: Message) -> None:
    connection = sqlite3.connect(path)
    with pytest.warns(UserWarning, match="automatic checkpoints"):
        await store.join(connection).put([message])
    assert connection.execute("pragma wal_autocheckpoint").fetchone() == (0,)
    await store.join(connection).put([Message("b", "mail", "send", b"{}")])
    connection.commit()
    connection.close()
    assert await known(store) == ["b", "a"]


def as_dict(cursor: sqlite3.Cursor, row: tuple[object, ...]) -> dict[str, object]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


async def test_what_the_user_makes_of_rows_is_theirs(store: SqliteStore, user: sqlite3.Connection, message: Message) -> None:
    user.row_factory, user.text_factory = as_dict, bytes
    await store.join(user).put([message])
    store.join(user).put_now([Message("b", "mail", "send", b"{}")])
    append = Append(TopicSpec("orders", versioned=True), "k", [Event("c", "placed", b"{}", "k")], 0)
    assert await store.join(user).append(append) == 1
    assert user.execute("select 'x' as a").fetchone() == {"a": b"x"}
    with pytest.raises(sqlite3.OperationalError):
        Sqlite3Connection(user).run("select nothing", ())
    assert user.execute("select 'x' as a").fetchone() == {"a": b"x"}
    assert Sqlite3Connection(user).named("select 'x' as a", ()).rows == [{"a": "x"}]
    user.commit()
    assert await known(store) == ["b", "a"]


class Proxy:
    """As instrumentation wraps connections: it says it is one."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.__dict__["wrapped"] = connection

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        return sqlite3.Connection

    def __getattr__(self, name: str) -> object:
        return self.__dict__["wrapped"].__getattribute__(name)

    def __setattr__(self, name: str, value: object) -> None:
        self.__dict__["wrapped"].__setattr__(name, value)


async def test_a_connection_may_be_wrapped(store: SqliteStore, user: sqlite3.Connection, message: Message) -> None:
    await store.join(Proxy(user)).put([message])
    user.commit()
    assert await known(store) == ["a"]


@pytest.mark.parametrize("durability", ["process", "inherit"])
async def test_a_weaker_durability_can_be_accepted(path: Path, message: Message, durability: str) -> None:
    store = SqliteStore(str(path), signals=Signals(), durability=durability)  # type: ignore[arg-type]
    await store.open()
    connection = sqlite3.connect(path)
    connection.execute("pragma wal_autocheckpoint = 0")
    connection.execute("pragma synchronous = normal")
    await store.join(connection).put([message])
    connection.commit()
    connection.close()
    assert await known(store) == ["a"]
    await store.close()
