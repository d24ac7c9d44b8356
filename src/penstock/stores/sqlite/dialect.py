"""SQLite's own programs."""

from __future__ import annotations

from penstock.model.log import Recorded
from penstock.model.statement import Program, Statement
from penstock.stores.sql.dialect import Dialect
from penstock.stores.sqlite.claim import claim
from penstock.stores.sqlite.feeding import feed
from penstock.stores.sqlite.moments import position_at
from penstock.stores.sqlite.places import place
from penstock.stores.sqlite.publishing import append, publish
from penstock.stores.sqlite.put import put
from penstock.stores.sqlite.trimming import trim


def read(topic: str, after: int, limit: int) -> Program[list[Recorded]]:
    found = yield Statement("topic", {"name": topic})
    if not found:
        return []
    number = found[0][0]
    rows = yield Statement("events", {"after": place(number, after), "end": place(number + 1, 0), "limit": limit})
    return [Recorded(*row) for row in rows]


def alone(what: str) -> Program[None]:
    """There is one writer."""
    yield from ()


SQLITE = Dialect(put, claim, publish, append, read, feed, trim, position_at, alone)
