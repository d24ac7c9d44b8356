"""PostgreSQL's own programs."""

from __future__ import annotations

from functools import partial

from penstock.stores.postgres.claim import claim
from penstock.stores.postgres.feeding import feed
from penstock.stores.postgres.floor import read, who_holds
from penstock.stores.postgres.locks import alone
from penstock.stores.postgres.moments import position_at
from penstock.stores.postgres.publishing import append, publish
from penstock.stores.postgres.put import put
from penstock.stores.postgres.settling import settle
from penstock.stores.postgres.trimming import trim
from penstock.stores.sql.dialect import Dialect


def make_dialect(*, strict: bool) -> Dialect:
    """`strict`: appends go one after the other (see `floor`)."""
    return Dialect(
        put=put,
        settle=settle,
        claim=claim,
        publish=partial(publish, strict=strict),
        append=partial(append, strict=strict),
        read=partial(read, strict=strict),
        feed=partial(feed, strict=strict),
        trim=partial(trim, strict=strict),
        position_at=position_at,
        who_holds=who_holds,
        alone=alone,
    )
