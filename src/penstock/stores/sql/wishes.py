"""Which event types the workers of each release ask for, so that no release ends what another one waits for.

A subscription is fed what any of its releases asks for. An event that comes to a worker that does not ask for its type waits for one
that does, and is done only where nobody does. A worker that left counts a while longer: it may be restarting. One that takes the
subscription's queue and says nothing is of a release before wishes: it may ask for anything.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from penstock.model.clock import SECOND
from penstock.model.delivery import Delivery
from penstock.model.statement import Program, Statement

GRACE = 60 * SECOND
"""That a worker may be away between two lives."""
_WIDTH = 3


def make(incarnation: int, wishes: Sequence[tuple[str, Sequence[str] | None]], now: int) -> Program[None]:
    yield Statement("end_orphaned_wishes", {"now": now})  # of those that an older release rescued
    yield Statement("forget_wishes", {"before": now - GRACE})
    values: list[object] = []
    for subscription, types in wishes:
        values += (subscription, incarnation, None if types is None else msgspec.json.encode(types).decode())
    if values:
        yield Statement("make_wishes", values=values, width=_WIDTH)


def end(incarnation: int, now: int) -> Program[None]:
    yield Statement("end_wishes", {"incarnation": incarnation, "now": now})


def of_others(owner: int, deliveries: Sequence[Delivery], now: int) -> Program[set[int]]:
    """The seqs of those that a worker besides `owner` asks for."""
    asked = msgspec.json.encode([(each.seq, each.task, each.type) for each in deliveries]).decode()
    return {row[0] for row in (yield Statement("wanted_by_others", {"asked": asked, "owner": owner, "since": now - GRACE}))}
