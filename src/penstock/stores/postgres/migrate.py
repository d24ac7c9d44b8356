"""Schema versions: forward only, all of a release in one transaction, re-runnable, one process at a time.

`schema` is the last migration that ran. `compatible` is the oldest release's schema number that can still work on it: a release
only expands, and contracts one release later.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Protocol

from penstock.errors import SchemaOutdated, StoreUnavailable
from penstock.ports.store import Schema
from penstock.stores.postgres.library import SCHEMA, in_schema, quoted

NEEDED = 3
COMPATIBLE = 1
COPY = "copy"
"""In `penstock.meta` while the schema is a half copy of another store (`copytarget`)."""
_LOCK = 0x70656E73746F636B
"""For `pg_advisory_xact_lock`: who migrates."""
_COMMENT = re.compile(r"--.*")
_STATEMENT = re.compile(r"(?:'[^']*'|[^';])+;")
_FIRST = """
create table if not exists penstock.meta (
    name text primary key,
    value text not null
);
"""


STRICT = """\
insert into penstock.meta (name, value)
values ('feed', 'strict')
on conflict (name) do update set value = excluded.value;
"""


class Connection(Protocol):
    """What is used of an asyncpg connection."""

    def transaction(self) -> Any: ...

    async def execute(self, query: str, /, *args: Any) -> Any: ...

    async def fetch(self, query: str, /, *args: Any) -> Any: ...


async def read(connection: Connection, schema: str = SCHEMA) -> Schema:
    """Raises what the driver raises."""
    there = await connection.fetch("select 1 from pg_tables where schemaname = $1 and tablename = 'meta'", schema)
    if not there:
        return Schema(0, 0, NEEDED)
    found = {row[0]: row[1] for row in await connection.fetch(in_schema("select name, value from penstock.meta", schema))}
    return Schema(int(found.get("schema", 0)), int(found.get("compatible", 0)), NEEDED, COPY in found)


def check(schema: Schema, place: str) -> None:
    """Raise unless this release can work on the schema."""
    if schema.compatible > NEEDED:
        raise SchemaOutdated(f"{place}: its schema is {schema.found}, this release knows {NEEDED}; upgrade Penstock here")
    if schema.found < NEEDED:
        raise SchemaOutdated(f"{place}: its schema is {schema.found}, this release needs {NEEDED}; run `penstock store migrate`")
    if schema.half:
        raise StoreUnavailable(
            f"{place} is a half copy of another store: nothing runs there until `penstock store copy` has come to its end"
        )


async def migrate(connection: Connection, schema: str = SCHEMA, *, strict: bool = False, in_use: bool = False) -> None:
    """Run what is missing. Another process that does the same is waited for, and then there is nothing left to do. `strict`: only who
    appends strictly may open what is made here, and with `in_use` also what was there."""
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
        found = (await read(connection, schema)).found
        if found < NEEDED:
            await connection.execute(missing(found, schema))
        if strict and (in_use or found == 0):
            await connection.execute(in_schema(STRICT, schema))


def statements(number: int, schema: str = SCHEMA) -> list[str]:
    """Of one migration, for a tool that runs them itself, in one transaction, one migration after the other. The first one makes the
    schema, and gives the store its identity: two calls give two.

        for statement in statements(1):
            op.execute(statement)
    """
    return [found.strip() for found in _STATEMENT.findall(_COMMENT.sub("", missing(number - 1, schema, number)))]


def missing(found: int = 0, schema: str = SCHEMA, last: int | None = None) -> str:
    """The SQL that brings a schema from version `found` to `last`, else to this release's; to be run in one transaction."""
    last = NEEDED if last is None else last
    parts = [f"create schema if not exists {quoted(schema)};", _FIRST] if found == 0 else []
    parts += [script for number, script in scripts() if found < number <= last]
    facts = {"schema": str(last), "compatible": str(min(last, COMPATIBLE))}
    if found == 0:
        facts["store_id"] = secrets.token_hex(16)
        parts.append(f"create domain penstock.{mark(facts['store_id'])} as text;\n")
    rows = ",\n    ".join(f"('{name}', '{value}')" for name, value in facts.items())
    parts.append(f"insert into penstock.meta (name, value)\nvalues\n    {rows}\non conflict (name) do update set value = excluded.value;\n")
    return in_schema("\n".join(parts), schema)


def mark(store_id: str) -> str:
    """The name of a type that only this store has."""
    return f"store_{store_id}"


def scripts() -> Iterator[tuple[int, str]]:
    folder = files("penstock.stores.postgres").joinpath("migrations")
    for path in sorted(folder.iterdir(), key=lambda each: each.name):
        if path.name.endswith(".sql"):
            yield int(path.name.split("_")[0]), path.read_text("utf-8")
