"""PostgreSQL's own programs."""

from __future__ import annotations

from penstock.stores.postgres.claim import claim
from penstock.stores.postgres.locks import alone
from penstock.stores.postgres.log import log_programs
from penstock.stores.postgres.put import put
from penstock.stores.postgres.settling import settle
from penstock.stores.sql.dialect import Dialect


def make_dialect(*, strict: bool) -> Dialect:
    """`strict`: appends go one after the other (see `floor`)."""
    log = log_programs(strict=strict)
    return Dialect(put, settle, claim, log.publish, log.append, log.read, log.feed, log.trim, log.position_at, alone)
