"""Settling: what is done and leads to nothing in one statement, everything else by the shared program.

Who waits for an end is rung by whoever finds the row of the one who waits. A row that is written while the end is being written
may be missed: then whoever waits finds it at the next look.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock.model.delivery import Settlement
from penstock.model.message import Message
from penstock.model.outcome import Committed, Done
from penstock.model.statement import Program, Rows, Statement
from penstock.stores.postgres.put import alike, are_alike, put
from penstock.stores.sql.dialect import Settled
from penstock.stores.sql.kept import Kept
from penstock.stores.sql.settle import latest
from penstock.stores.sql.watching import hear, settle_and_hear

_WIDTH = 7
_NOBODY: Rows = ()


def is_plain(settlements: Iterable[Settlement]) -> bool:
    """All are done, hold no key, and nothing follows them: settled by one statement, and a second if somebody waits."""
    for each in settlements:
        delivery = each.delivery
        if delivery.key is not None or delivery.options is not None or not isinstance(each.outcome, Done | Committed):
            return False
    return True


def settle(owner: int, settlements: Sequence[Settlement], now: int) -> Program[Settled]:
    if not settlements or not is_plain(settlements):
        return (yield from settle_and_hear(owner, settlements, now, put))
    return (yield from _heard((yield _statement(owner, settlements, now)), settlements))


def settle_with(kept: Kept, owner: int, settlements: Sequence[Settlement], now: int) -> Program[tuple[Settled, bool]]:
    """In the transaction that had kept that back, as its end. And whether there was any of it."""
    messages = kept.only_messages
    if messages and len(settlements) == 1 and is_plain(settlements) and are_alike(messages):
        kept.clear()
        rows = yield _all_at_once(messages, owner, settlements[0], now)
        return (yield from _heard(rows, settlements)), True
    wrote = yield from kept.write(now)
    return (yield from settle(owner, settlements, now)), wrote


def _heard(rows: Rows, settlements: Sequence[Settlement]) -> Program[Settled]:
    heard = (yield from hear(settlements)) if any(row[1] for row in rows) else _NOBODY
    released = {row[0] for row in rows}
    return Settled([each.delivery.seq for each in settlements if each.delivery.seq not in released], heard)


def _statement(owner: int, settlements: Sequence[Settlement], now: int) -> Statement:
    first = _end_of(settlements[0])
    if all(_end_of(each) == first for each in settlements):
        queue, attempt, result, note = first
        shared: dict[str, object] = {"owner": owner, "now": now, "queue": queue, "attempt": attempt, "result": result, "note": note}
        shared |= {"single": len(settlements) == 1, "claimed": latest(settlements)}
        return Statement("settle_alike", shared, [each.delivery.seq for each in settlements], 1)
    values: list[object] = []
    for each in settlements:
        queue, attempt, result, note = _end_of(each)
        values += (owner, now, each.delivery.seq, queue, attempt, result, note)
    return Statement("settle_done", {"claimed": latest(settlements)}, values, _WIDTH)


def _all_at_once(messages: Sequence[Message], owner: int, end: Settlement, now: int) -> Statement:
    queue, attempt, result, note = _end_of(end)
    ended = {
        "owner": owner,
        "claimed": end.delivery.claimed,
        "ended": end.delivery.seq,
        "ended_queue": queue,
        "attempt": attempt,
        "result": result,
        "note": note,
    }
    return Statement("put_and_settle", {**alike(messages, now), **ended})


def _end_of(settlement: Settlement) -> tuple[str, int, bytes | None, str | None]:
    """Its queue, attempt, result, and why there is none."""
    delivery, outcome = settlement.delivery, settlement.outcome
    result, note = (outcome.result, outcome.unavailable) if isinstance(outcome, Done) else (None, None)
    return delivery.queue, delivery.attempt, result, note
