"""Schema versions: forward, whole, and as often as one likes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.errors import SchemaOutdated
from penstock.ports.store import Schema
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite import migrate
from penstock.stores.sqlite.admin import SqliteAdministration


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    connection = connections.connect(str(path))
    yield connection
    connection.close()


def shape(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute("select name, sql from sqlite_master order by name").fetchall()


def say(connection: sqlite3.Connection, **facts: int) -> None:
    connection.executemany("update penstock_meta set value = ? where name = ?", [(value, name) for name, value in facts.items()])


def test_twice_is_once(connection: sqlite3.Connection) -> None:
    migrate.migrate(connection)
    first = shape(connection), dict(connection.execute("select name, value from penstock_meta"))
    migrate.migrate(connection)
    assert (shape(connection), dict(connection.execute("select name, value from penstock_meta"))) == first
    assert migrate.read(connection) == Schema(migrate.NEEDED, migrate.COMPATIBLE, migrate.NEEDED)


def test_every_store_has_a_name_of_its_own(connection: sqlite3.Connection, path: Path) -> None:
    names = set()
    for each in (connection, connections.connect(f"{path}.2")):
        migrate.migrate(each)
        names |= set(each.execute("select value from penstock_meta where name = 'store_id'").fetchall())
        each.close()
    assert len(names) == 2


def test_all_scripts_have_numbers_that_rise() -> None:
    numbers = [number for number, _ in migrate.scripts()]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == migrate.NEEDED


def test_a_script_that_fails_leaves_the_old_schema(connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate.migrate(connection)
    before = shape(connection)
    broken = [(migrate.NEEDED + 1, "create table penstock_new (n);\ninsert into nowhere values (1);\n")]
    monkeypatch.setattr(migrate, "NEEDED", migrate.NEEDED + 1)
    monkeypatch.setattr(migrate, "scripts", lambda: iter(broken))
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate.migrate(connection)
    assert shape(connection) == before
    assert migrate.read(connection).found == migrate.NEEDED - 1
    assert not connection.in_transaction


def test_only_what_is_missing_runs(connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate.migrate(connection)
    old = list(migrate.scripts())
    monkeypatch.setattr(migrate, "NEEDED", migrate.NEEDED + 1)
    monkeypatch.setattr(migrate, "scripts", lambda: iter([*old, (migrate.NEEDED, "create table penstock_new (n);\n")]))
    with pytest.raises(SchemaOutdated, match="penstock store migrate"):
        migrate.check(migrate.read(connection), "store.db")
    migrate.migrate(connection)
    migrate.check(migrate.read(connection), "store.db")
    assert "penstock_new" in {name for name, _ in shape(connection)}


def test_a_newer_schema_is_refused_unless_this_release_is_compatible(connection: sqlite3.Connection) -> None:
    migrate.migrate(connection)
    say(connection, schema=migrate.NEEDED + 2)
    migrate.check(migrate.read(connection), "store.db")
    say(connection, compatible=migrate.NEEDED + 1)
    with pytest.raises(SchemaOutdated, match=r"store\.db.*upgrade Penstock"):
        migrate.check(migrate.read(connection), "store.db")


def test_a_newer_compatible_schema_is_not_set_back(connection: sqlite3.Connection) -> None:
    migrate.migrate(connection)
    say(connection, schema=migrate.NEEDED + 2)
    migrate.migrate(connection)
    assert migrate.read(connection).found == migrate.NEEDED + 2


def test_statements_are_split_where_they_end() -> None:
    script = "-- a comment; with a semicolon\ncreate table a (n); -- the end\ninsert into a\nvalues (';');\n"
    assert [text.strip() for text in migrate.statements(script)] == [
        "-- a comment; with a semicolon\ncreate table a (n); -- the end",
        "insert into a\nvalues (';');",
    ]


def test_looking_creates_nothing(path: Path) -> None:
    administration = SqliteAdministration(str(path))
    assert not administration.exists
    assert administration.ready() is not None
    assert list(path.parent.iterdir()) == []
    assert administration.migrate().found == migrate.NEEDED
    assert administration.live()
    assert "worker" in str(administration.ready())
