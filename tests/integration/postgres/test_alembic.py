"""Alembic beside Penstock: it may know the tables, or leave them alone; it may make them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Column, Connection, Engine, MetaData, Table, Text, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from penstock import App
from penstock.connect import administration
from penstock.integrations.sqlalchemy import metadata
from penstock.stores.postgres import migrate
from penstock.stores.postgres.migrate import statements

pytestmark = pytest.mark.filterwarnings("ignore:Did not recognize type 'xid8'")


@pytest.fixture(params=["penstock", "shop"])
def schema(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(postgres_url: str, schema: str) -> Iterator[Engine]:
    """A database without tables. The server's role is called as the schema is, which would be its default."""
    engine = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"), connect_args={"options": "-csearch_path=public"})
    with engine.begin() as connection:
        connection.execute(text(f"drop schema if exists {schema} cascade"))
    yield engine
    with engine.begin() as connection:
        connection.execute(text(f"drop schema if exists {schema} cascade"))
    engine.dispose()


def differences(connection: Connection, schema: str, *known: MetaData) -> list[Any]:
    """As `alembic revision --autogenerate` finds them."""

    def ours(name: str | None, kind: str, _: object) -> bool:
        return kind != "schema" or name == schema

    how = {"include_schemas": True, "include_name": ours, "compare_type": True, "compare_server_default": True}
    with connection.begin_nested():
        accepted = cast("MetaData", list(known))  # several are accepted, too, and not annotated
        return list(compare_metadata(MigrationContext.configure(connection, opts=how), accepted))


def test_a_migrated_database_is_as_the_metadata_says(engine: Engine, postgres_url: str, schema: str) -> None:
    administration(f"{postgres_url}?schema={schema}").migrate()
    with engine.connect() as connection:
        assert differences(connection, schema, metadata(schema)) == []


@pytest.mark.parametrize(
    "change",
    [
        "alter table {}.message drop column type",
        "alter table {}.message alter column body drop not null",
        "alter table {}.counter alter column done set default 7",
        "alter table {}.worker alter column pid type bigint",
        "drop index {}.event_id",
        "create table {}.another (id int)",
    ],
)
def test_a_difference_is_seen(engine: Engine, postgres_url: str, schema: str, change: str) -> None:
    """By the test above."""
    administration(f"{postgres_url}?schema={schema}").migrate()
    with engine.connect() as connection:
        connection.execute(text(change.format(schema)))
        assert len(differences(connection, schema, metadata(schema))) == 1


def test_a_users_own_tables_stand_beside(engine: Engine, postgres_url: str, schema: str) -> None:
    administration(f"{postgres_url}?schema={schema}").migrate()
    mine = MetaData(schema=schema)
    users = Table("users", mine, Column("name", Text, primary_key=True))
    with engine.connect() as connection:
        assert [kind for kind, *_ in differences(connection, schema, mine, metadata(schema))] == ["add_table"]
        users.create(connection)
        assert differences(connection, schema, mine, metadata(schema)) == []


def include_name(name: str | None, kind: str, parents: Mapping[str, str | None]) -> bool:
    return kind != "schema" or name != "penstock"


def test_tables_that_are_left_out_are_no_difference(engine: Engine, postgres_url: str) -> None:
    administration(postgres_url).migrate()
    with engine.connect() as connection:
        for left_out in (False, True):
            how = {"include_schemas": True, "include_name": include_name} if left_out else {"include_schemas": True}
            found = compare_metadata(MigrationContext.configure(connection, opts=how), MetaData())
            dropped = {table.schema for kind, table, *_ in found if kind == "remove_table"}
            assert ("penstock" in dropped) is not left_out


def upgrade(op: Operations, number: int, schema: str) -> None:
    for statement in statements(number, schema):
        op.execute(statement)


def revisions(connection: Connection, schema: str) -> None:
    """One of Alembic's for each of ours."""
    for number in range(1, migrate.NEEDED + 1):
        upgrade(Operations(MigrationContext.configure(connection)), number, schema)


async def test_revisions_make_the_tables(engine: Engine, postgres_url: str, schema: str) -> None:
    with engine.begin() as connection:
        revisions(connection, schema)
    await check(engine, postgres_url, schema)


async def test_revisions_make_the_tables_on_asyncpg(engine: Engine, postgres_url: str, schema: str) -> None:
    there = create_async_engine(postgres_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with there.begin() as connection:
        await connection.run_sync(revisions, schema)
    await there.dispose()
    await check(engine, postgres_url, schema)


async def check(engine: Engine, postgres_url: str, schema: str) -> None:
    """The schema is whole: an app works there, and there is nothing left to migrate."""
    url = f"{postgres_url}?schema={schema}"
    assert administration(url).script() == ""
    with engine.connect() as connection:
        assert differences(connection, schema, metadata(schema)) == []
        made = shape(connection, schema)
        connection.execute(text(f"drop schema {schema} cascade"))
        connection.execute(text(migrate.missing(schema=schema)))
        assert made == shape(connection, schema)
        connection.rollback()
    app = App(url, name=f"shop_{secrets.token_hex(4)}")

    @app.task()
    async def greet(name: str) -> str:
        return f"hello {name}"

    async with app.worker():
        assert await (await greet.enqueue("sam")).result(timeout=20) == "hello sam"
    await app.close()


def shape(connection: Connection, schema: str) -> list[Any]:
    """Functions and views too, which Alembic does not compare."""
    functions = text("select proname::text, prosrc from pg_proc where pronamespace = to_regnamespace(:schema)")
    views = text("select viewname::text, definition from pg_views where schemaname = :schema")
    return sorted(tuple(row) for each in (functions, views) for row in connection.execute(each, {"schema": schema}))


def test_each_store_has_an_identity_of_its_own() -> None:
    first, second = statements(1), statements(1)
    assert len(first) == len(second)
    assert sum(one != other for one, other in zip(first, second, strict=True)) == 2
