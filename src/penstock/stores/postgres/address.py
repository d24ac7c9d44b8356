"""A store's URL, taken apart: what the driver is told, and what is ours.

`postgresql://user:password@host:port/database?schema=penstock&feed=floor`. Options that are not ours go to the driver (`sslmode`, …).
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from msgspec import Struct

from penstock.errors import ConfigurationError
from penstock.stores.postgres.library import SCHEMA

ACCEPTED = "a store is postgresql://user@host/database, with ?schema=name for a tenant of its own"
_LIBPQ = frozenset({"connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"})
_SCHEMAS = re.compile(r"[a-z_][a-z0-9_]{0,40}")


class Address(Struct, frozen=True):
    dsn: str
    """For asyncpg, with its password."""
    libpq: str
    """For psycopg: with what asyncpg would take for settings of the server."""
    masked: str
    """Fit to be printed."""
    schema: str = SCHEMA
    strict: bool = False
    """Appends one after the other: for servers whose `pg_locks` cannot be trusted (see `floor`)."""


def parse(url: str, masked: str) -> Address:
    """Raises ConfigurationError, in words that may be printed."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ConfigurationError(f"{masked!r}: leave the driver out; {ACCEPTED}")
    if parts.fragment or "#" in url:
        raise ConfigurationError(f"{masked!r} has a fragment (#…): write it as %23 if it belongs to the password; {ACCEPTED}")
    ours: dict[str, str] = {}
    theirs: list[tuple[str, str]] = []
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in ("schema", "feed"):
            ours[name] = value
        else:
            theirs.append((name, value))
    schema, feed = ours.get("schema", SCHEMA), ours.get("feed", "floor")
    if not _SCHEMAS.fullmatch(schema) or schema.startswith("pg_"):
        raise ConfigurationError(f"{masked!r}: schema={schema!r}: a schema's name is lower case letters, digits and _, up to 41 of them")
    if feed not in ("floor", "strict"):
        raise ConfigurationError(f"{masked!r}: feed={feed!r}: floor or strict")
    known = [(name, value) for name, value in theirs if name not in _LIBPQ]
    dsn, libpq = (urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(query), "")) for query in (known, theirs))
    return Address(dsn, libpq, masked, schema, feed == "strict")
