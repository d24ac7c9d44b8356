"""The programs of the log, for a store whose appends are strict or not (see `floor`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Struct

from penstock.model.log import Append, Event, Fed, Recorded, TopicSpec
from penstock.model.message import Placed
from penstock.model.statement import Program
from penstock.stores.postgres.feeding import feed
from penstock.stores.postgres.floor import read
from penstock.stores.postgres.moments import position_at
from penstock.stores.postgres.publishing import append, publish
from penstock.stores.postgres.trimming import trim
from penstock.stores.sql.appending import Result


class LogPrograms(Struct, frozen=True):
    """As `stores.sql.dialect.Dialect` has them."""

    publish: Callable[[TopicSpec, Sequence[Event], int], Program[list[Placed]]]
    append: Callable[[TopicSpec, Sequence[Append], int], Program[list[Result]]]
    read: Callable[[str, int, int], Program[list[Recorded]]]
    feed: Callable[[str, int, int], Program[Fed]]
    trim: Callable[[int, int], Program[int]]
    position_at: Callable[[str, int], Program[int]]


def log_programs(*, strict: bool = False) -> LogPrograms:
    return LogPrograms(
        publish=partial(publish, strict=strict),
        append=partial(append, strict=strict),
        read=partial(read, strict=strict),
        feed=partial(feed, strict=strict),
        trim=partial(trim, strict=strict),
        position_at=position_at,
    )
