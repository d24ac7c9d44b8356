"""Settling: what is done and leads to nothing in one statement, everything else by the shared program.

Who waits for an end is rung by whoever finds the row of the one who waits. A row that is written while the end is being written
may be missed: then whoever waits finds it at the next look.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock.model.delivery import Settlement
from penstock.model.outcome import Committed, Done
from penstock.model.statement import Program, Rows, Statement
from penstock.stores.sql.dialect import Put, Settled
from penstock.stores.sql.watching import hear, settle_and_hear

_WIDTH = 8
_NOBODY: Rows = ()


def is_plain(settlements: Sequence[Settlement]) -> bool:
    """All are done, hold no key, and nothing follows them."""
    for each in settlements:
        delivery = each.delivery
        if delivery.key is not None or delivery.options is not None or not isinstance(each.outcome, Done | Committed):
            return False
    return bool(settlements)


def settle(owner: int, settlements: Sequence[Settlement], now: int, put: Put) -> Program[Settled]:
    """In a transaction that somebody opened, as durable as that is."""
    if is_plain(settlements):
        return (yield from settle_plain(owner, settlements, now, relaxed=False))
    return (yield from settle_and_hear(owner, settlements, now, put))


def settle_plain(owner: int, settlements: Sequence[Settlement], now: int, *, relaxed: bool) -> Program[Settled]:
    """`relaxed`: without a transaction around it, and a crash of the server may undo it."""
    values: list[object] = []
    for each in settlements:
        delivery, outcome = each.delivery, each.outcome
        result, note = (outcome.result, outcome.unavailable) if isinstance(outcome, Done) else (None, None)
        values += (owner, relaxed, now, delivery.seq, delivery.queue, delivery.attempt, result, note)
    rows = yield Statement("settle_done", values=values, width=_WIDTH)
    heard = (yield from hear(settlements)) if rows and rows[0][1] else _NOBODY
    released = {row[0] for row in rows}
    lost = [each.delivery.seq for each in settlements if each.delivery.seq not in released]
    return Settled(lost, heard)
