"""SQLite's own programs."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.model.delivery import Settlement
from penstock.model.statement import Program
from penstock.stores.sql.dialect import Dialect, Settled
from penstock.stores.sql.watching import settle_and_hear
from penstock.stores.sqlite.claim import claim
from penstock.stores.sqlite.feeding import feed
from penstock.stores.sqlite.publishing import append, publish
from penstock.stores.sqlite.put import put
from penstock.stores.sqlite.reading import position_at, read
from penstock.stores.sqlite.trimming import trim


def settle(owner: int, settlements: Sequence[Settlement], now: int) -> Program[Settled]:
    return (yield from settle_and_hear(owner, settlements, now, put))


def who_holds() -> Program[None]:
    """Nobody: transactions append one after the other."""
    yield from ()


def alone(what: str) -> Program[None]:
    """There is one writer."""
    yield from ()


SQLITE = Dialect(put, settle, claim, publish, append, read, feed, trim, position_at, who_holds, alone)
