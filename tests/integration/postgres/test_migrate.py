"""The schema on a real server: made once, by whoever comes first, and never twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from penstock.errors import SchemaOutdated
from penstock.ports.store import Schema
from penstock.stores.postgres import migrate
from tests.integration.cli.console import Console

TABLES = "select table_name from information_schema.tables where table_schema = $1"
FINISHED = Schema(migrate.NEEDED, migrate.COMPATIBLE, migrate.NEEDED)


@pytest.fixture
async def connection(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_url)
    for schema in ("penstock", "tenant"):
        await connection.execute(f"drop schema if exists {schema} cascade")
    yield connection
    await connection.close()


async def tables(connection: asyncpg.Connection, schema: str) -> set[str]:
    return {row[0] for row in await connection.fetch(TABLES, schema)}


async def test_a_schema_is_made_and_known(connection: asyncpg.Connection) -> None:
    assert await migrate.read(connection) == Schema(0, 0, migrate.NEEDED)
    await migrate.migrate(connection)
    assert await migrate.read(connection) == FINISHED
    assert {"message", "ready", "busy", "leased", "event", "topic", "meta"} <= await tables(connection, "penstock")


async def test_a_second_time_changes_nothing(connection: asyncpg.Connection) -> None:
    await migrate.migrate(connection)
    before = await connection.fetch("select * from penstock.meta order by name")
    await migrate.migrate(connection)
    assert await connection.fetch("select * from penstock.meta order by name") == before


async def test_of_many_at_once_one_does_it(connection: asyncpg.Connection, postgres_url: str) -> None:
    others = [await asyncpg.connect(postgres_url) for _ in range(8)]
    await asyncio.gather(*(migrate.migrate(each) for each in others))
    await asyncio.gather(*(each.close() for each in others))
    assert await migrate.read(connection) == FINISHED


async def test_a_tenant_has_a_schema_of_its_own(connection: asyncpg.Connection) -> None:
    await migrate.migrate(connection, "tenant")
    await migrate.migrate(connection)
    assert await tables(connection, "tenant") == await tables(connection, "penstock")
    ids = {(await connection.fetchval(f"select value from {each}.meta where name = 'store_id'")) for each in ("tenant", "penstock")}
    assert len(ids) == 2


async def test_the_printed_sql_does_the_same(connection: asyncpg.Connection) -> None:
    await migrate.migrate(connection)
    made = await tables(connection, "penstock")
    await connection.execute("drop schema penstock cascade")
    async with connection.transaction():
        await connection.execute(migrate.missing())
    assert await tables(connection, "penstock") == made
    assert await migrate.read(connection) == FINISHED


async def test_the_command_prints_sql_for_whoever_may(connection: asyncpg.Connection, postgres_url: str, tmp_path: Path) -> None:
    """Nothing is changed by it; what it printed, run as it is, is all that is missing."""
    console = Console(tmp_path, f"{postgres_url}?schema=tenant")
    printed = (await asyncio.to_thread(console.ok, "store", "migrate", "--sql")).out
    assert await tables(connection, "tenant") == set()
    async with connection.transaction():
        await connection.execute(printed)
    assert await migrate.read(connection, "tenant") == FINISHED
    assert (await asyncio.to_thread(console.ok, "store", "migrate", "--sql")).out == ""
    assert "nothing to do" in (await asyncio.to_thread(console.ok, "store", "migrate")).out


async def test_a_migration_that_fails_leaves_nothing(connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [*migrate.scripts(), (migrate.NEEDED + 1, "create table penstock.new (n int);\ninsert into nowhere values (1);\n")]
    monkeypatch.setattr(migrate, "scripts", lambda: iter(broken))
    monkeypatch.setattr(migrate, "NEEDED", migrate.NEEDED + 1)
    with pytest.raises(asyncpg.UndefinedTableError):
        await migrate.migrate(connection)
    assert (await migrate.read(connection)).found == 0
    assert await tables(connection, "penstock") == set()


@pytest.mark.parametrize(
    ("schema", "advice"),
    [
        (Schema(migrate.NEEDED - 1, 1, migrate.NEEDED), "run `penstock store migrate`"),
        (Schema(0, 0, migrate.NEEDED), "run `penstock store migrate`"),
        (Schema(migrate.NEEDED + 5, migrate.NEEDED + 1, migrate.NEEDED), "upgrade Penstock here"),
    ],
)
def test_another_releases_schema_is_refused(schema: Schema, advice: str) -> None:
    with pytest.raises(SchemaOutdated, match=advice):
        migrate.check(schema, "postgresql://shop")


def test_a_newer_schema_that_says_so_will_do() -> None:
    migrate.check(Schema(migrate.NEEDED + 5, migrate.NEEDED, migrate.NEEDED), "postgresql://shop")
