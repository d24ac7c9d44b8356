"""Schema versions: forward only, each in one transaction, re-runnable.

`schema` is the last migration that ran. `compatible` is the oldest release's schema number that can still work on it: a release
only expands, and contracts one release later.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from importlib.resources import files

from penstock.errors import SchemaOutdated
from penstock.ports.store import Schema

NEEDED = 6
COMPATIBLE = 1


def read(connection: sqlite3.Connection) -> Schema:
    exists = connection.execute("select 1 from sqlite_master where name = 'penstock_meta'").fetchone()
    if not exists:
        return Schema(0, 0, NEEDED)
    found = dict(connection.execute("select name, value from penstock_meta").fetchall())
    return Schema(int(found.get("schema", 0)), int(found.get("compatible", 0)), NEEDED)


def check(schema: Schema, path: str) -> None:
    """Raise unless this release can work on the schema."""
    if schema.compatible > NEEDED:
        raise SchemaOutdated(f"{path}: its schema is {schema.found}, this release knows {NEEDED}; upgrade Penstock here")
    if schema.found < NEEDED:
        raise SchemaOutdated(f"{path}: its schema is {schema.found}, this release needs {NEEDED}; run `penstock store migrate`")


def migrate(connection: sqlite3.Connection) -> None:
    """Run what is missing. The caller holds the write lock of the folder."""
    connection.execute("begin immediate")
    try:
        found = read(connection).found
        if found < NEEDED:
            for statement in statements(missing(found)):
                connection.execute(statement)
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def missing(found: int) -> str:
    """The SQL that brings a schema from version `found` to this release's, to be run in one transaction."""
    parts = [script for number, script in scripts() if number > found]
    facts = [f"('schema', {NEEDED})", f"('compatible', {COMPATIBLE})"]
    if not found:
        facts.append(f"('store_id', '{secrets.token_hex(16)}')")
    return "\n".join([*parts, f"insert or replace into penstock_meta (name, value)\nvalues {', '.join(facts)};\n"])


def scripts() -> Iterator[tuple[int, str]]:
    folder = files("penstock.stores.sqlite").joinpath("migrations")
    for path in sorted(folder.iterdir(), key=lambda each: each.name):
        if path.name.endswith(".sql"):
            yield int(path.name.split("_")[0]), path.read_text("utf-8")


def statements(script: str) -> Iterator[str]:
    """Split at the semicolons that end a statement."""
    text = ""
    for line in script.splitlines(keepends=True):
        text += line
        if line.split("--")[0].rstrip().endswith(";") and sqlite3.complete_statement(text):
            yield text
            text = ""
