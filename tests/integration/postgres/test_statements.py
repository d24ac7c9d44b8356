"""The texts as the server takes them; and those that both dialects have, side by side."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import asyncpg
import pytest

from penstock.stores.postgres.library import load
from penstock.stores.sql.library import Library
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite import migrate
from penstock.testing.storage import fast_folder
from tests.integration.postgres.client import Client, Connect, create, marked

OWN = {"put.sql", "claim.sql", "append.sql", "feeding.sql", "trimming.sql", "own.sql"}
NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
COMMENT = re.compile(r"--.*")
PARAMETER = re.compile(r"(?<![:\w]):(\w+)")
WIDTHS = {"sqlite": re.compile(r"\(([a-z_, ]+)\)(?: as \()?\s*values :rows"), "postgres": re.compile(r":rows\(([a-z, ]+)\)")}


def named(dialect: str) -> dict[str, list[str]]:
    """The statements of each file."""
    folder = files(f"penstock.stores.{dialect}").joinpath("sql")
    return {path.name: NAME.findall(path.read_text("utf-8")) for path in folder.iterdir()}


SQLITE, POSTGRES = Library.load("penstock.stores.sqlite"), Library.load("penstock.stores.postgres")
FILES = {dialect: named(dialect) for dialect in WIDTHS}
BOTH = sorted(set.intersection(*(set(each) for each in FILES.values())) - OWN)
SHARED = [name for file in BOTH for name in FILES["sqlite"][file]]


def test_both_have_the_files_of_shared_programs() -> None:
    expected = "elsewhere ends feed inspect jobs keys leases limits log schedules settle store unique"
    assert {f"{file}.sql" for file in expected.split()} <= set(BOTH)


@pytest.mark.parametrize("file", BOTH)
def test_the_same_statements_stand_in_the_same_order(file: str) -> None:
    assert FILES["postgres"][file] == FILES["sqlite"][file]


@pytest.mark.parametrize("name", SHARED)
def test_the_same_parameters(name: str) -> None:
    assert parameters(POSTGRES[name]) == parameters(SQLITE[name])
    assert width("postgres", POSTGRES[name]) == width("sqlite", SQLITE[name])


def parameters(text: str) -> set[str]:
    return set(PARAMETER.findall(COMMENT.sub("", text)))


def width(dialect: str, text: str) -> int:
    """Of the rows that it is brought; 0: none."""
    found = WIDTHS[dialect].search(text)
    return 0 if found is None else found[1].count(",") + 1


@pytest.fixture
def sqlite() -> Iterator[sqlite3.Connection]:
    with fast_folder() as folder:
        connection = connections.connect(str(folder / "store.db"))
        migrate.migrate(connection)
        yield connection
        connection.close()


@pytest.fixture
async def client(connect: Connect) -> Client:
    return await connect()


@pytest.mark.parametrize("schema", ["penstock", "shop"])
async def test_the_server_takes_every_statement(connect: Connect, schema: str) -> None:
    """Also where no other schema is there."""
    client = await connect(schema)
    await client.execute("drop schema penstock cascade")
    await create(client, schema)
    assert {name: fault for name in load().names() if (fault := await refusal(client, name, schema))} == {}


async def refusal(client: Client, name: str, schema: str) -> str | None:
    try:
        await client.connection.prepare(marked(name, schema)[0])
    except asyncpg.PostgresError as error:
        return str(error)
    return None


async def test_a_statement_that_is_wrong_is_refused(client: Client) -> None:
    """This test's own eyes."""
    with pytest.raises(asyncpg.UndefinedColumnError):
        await client.connection.prepare("select nothing from penstock.message")


async def test_the_same_columns(client: Client, sqlite: sqlite3.Connection) -> None:
    """Where SQLite gives a name to a column; what is computed has its text there."""
    theirs = {name: await columns_of_postgres(client, name) for name in SHARED}
    ours = {name: columns_of_sqlite(sqlite, name) for name in SHARED}
    assert {name: len(columns) for name, columns in theirs.items()} == {name: len(columns) for name, columns in ours.items()}
    differing = {
        name: (here, there)
        for name in SHARED
        for here, there in zip(ours[name], theirs[name], strict=True)
        if plain(here) and here != there
    }
    assert differing == {}
    assert sum(plain(column) for columns in ours.values() for column in columns) > 100


def plain(column: str) -> bool:
    return column.isidentifier()


async def columns_of_postgres(client: Client, name: str) -> list[str]:
    prepared = await client.connection.prepare(marked(name)[0])
    return [column.name for column in prepared.get_attributes()]


def columns_of_sqlite(connection: sqlite3.Connection, name: str) -> list[str]:
    """It says them only of what has run: with a 1 for each value, which is a number, a text and JSON."""
    columns = width("sqlite", SQLITE[name])
    text = SQLITE.filled(name, 1, columns) if columns else SQLITE[name]
    params: Any = [1] * columns if columns else dict.fromkeys(parameters(text), 1)
    connection.execute("begin")
    cursor = connection.execute(text, params)
    cursor.fetchall()
    connection.execute("rollback")
    return [column[0] for column in cursor.description or ()]
