"""Opening: the schema, and who we are."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from penstock.errors import StoreCorrupt
from penstock.stores.postgres import migrate
from penstock.stores.postgres.address import Address
from penstock.stores.postgres.failures import translated
from penstock.stores.postgres.library import in_schema, quoted
from penstock.stores.postgres.pool import ERRORS


class Identity(Struct, frozen=True):
    store_id: str
    """Of the schema, random: two databases never have the same."""
    mark: str
    """The name of a type that says it: to look for it fails nowhere, as to look into a table would, and so spoils no transaction."""


async def open_schema(connection: Any, address: Address, *, migrating: bool) -> Identity:
    """Raises StoreError."""
    sql = in_schema("select value from penstock.meta where name = 'store_id'", address.schema)
    try:
        if migrating:
            await migrate.migrate(connection, address.schema)
        async with connection.transaction():
            migrate.check(await migrate.read(connection, address.schema), address.masked)
            store_id = await connection.fetchval(sql)
    except ERRORS as error:
        raise translated(error, f"open {address.masked}") from error
    if store_id is None:
        raise StoreCorrupt(f"{address.masked}: its schema has no store_id; restore a backup")
    return Identity(str(store_id), f"{quoted(address.schema)}.{migrate.mark(str(store_id))}")
