"""Opening: the schema, and who we are."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from penstock.errors import ConfigurationError, StoreCorrupt
from penstock.stores.postgres import migrate
from penstock.stores.postgres.address import Address
from penstock.stores.postgres.failures import broken
from penstock.stores.postgres.library import in_schema, quoted
from penstock.stores.postgres.pool import ERRORS


class Identity(Struct, frozen=True):
    store_id: str
    """Of the schema, random: two databases never have the same."""
    mark: str
    """The name of a type that says it: to look for it fails nowhere, as to look into a table would, and so spoils no transaction."""


async def open_schema(connection: Any, address: Address, *, migrating: bool) -> Identity:
    """Raises StoreError, and ConfigurationError where others append to its topics in another way."""
    sql = in_schema("select name, value from penstock.meta where name in ('store_id', 'feed')", address.schema)
    try:
        if migrating:
            await migrate.migrate(connection, address.schema, strict=address.strict)
        async with connection.transaction():
            migrate.check(await migrate.read(connection, address.schema), address.masked)
            facts = dict(await connection.fetch(sql))
    except ERRORS as error:
        raise broken(error, f"open {address.masked}", connection) from error
    if "store_id" not in facts:
        raise StoreCorrupt(f"{address.masked}: its schema has no store_id; restore a backup")
    _check_feed(address, strict=facts.get("feed") == "strict")
    return Identity(facts["store_id"], f"{quoted(address.schema)}.{migrate.mark(facts['store_id'])}")


def _check_feed(address: Address, *, strict: bool) -> None:
    """A strict reader loses what others append less strictly."""
    if strict and not address.strict:
        raise ConfigurationError(f"{address.masked}: this store's feed is strict: add ?feed=strict to the URL of each process")
    if address.strict and not strict:
        raise ConfigurationError(
            f"{address.masked}: feed=strict, and this store's feed is not: stop all processes that use it, "
            f"run `penstock store migrate` with this URL, and start them with it"
        )
