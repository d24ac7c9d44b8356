"""Claims of what needs no decision: messages without keys, limits, batches. One statement a queue, and it counts itself."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from penstock.model.delivery import SUSPECT_DEATHS
from penstock.model.statement import Program, Rows, Statement
from penstock.ports.queue import Claim
from penstock.stores.postgres.haste import Spot
from penstock.stores.postgres.look import Bounds, Place, Sight
from penstock.stores.postgres.meeting import as_json
from penstock.stores.sql.share import SEQ, Share

_FACTS = 13
"""Columns that `Share` reads; those behind them say what else was met."""
_MET, _BEYOND = 13, 14


class Plain(Struct, frozen=True):
    share: Share
    mixed: bool
    """Something was met that one statement cannot take."""


def take_plain(ask: Claim, place: Place, room: int, now: int) -> Program[Plain]:
    share = Share(ask, place.queue, room, now)
    rows = yield Statement("take_plain", {**_facts(share), "starts": as_json(place.starts), "room": room})
    mixed = _note(share, rows)
    share.more = rows[0][_BEYOND] and not mixed
    return Plain(share, mixed)


def hurry(ask: Claim, spot: Spot, now: int) -> Program[Share]:
    """Before a look: `haste`."""
    share = Share(ask, spot.queue, spot.room, now)
    rows = yield Statement("take_new", {**_facts(share), "rank": spot.rank, "since": spot.since, "room": spot.room})
    mixed = _note(share, rows)
    share.more = rows[0][_MET] == spot.room and not mixed
    return share


def note_calm(ask: Claim, sight: Sight, bounds: Bounds, *, left: bool) -> None:
    """After a claim. Not if it left something, or had no room to ask: that comes before what is put later."""
    asked = {queue for queue, _ in ask.queues}
    for queue, place in sight.places.items():
        bounds.haste.note(queue, suspect=place.suspect)
        known = not ask.tasks.isdisjoint(place.strays)
        waits = bool(place.starts) and queue not in asked
        if not (left or waits or known or queue in sight.rules.queues or queue in bounds.mixed or place.suspect or place.is_due(sight.now)):
            bounds.haste.note_calm(ask, queue, sight.last, sight.now, place.next_due)


def _facts(share: Share) -> dict[str, object]:
    tasks = listed(share.tasks - share.batches.keys())
    return {
        "owner": share.owner,
        "queue": share.queue,
        "now": share.now,
        "claimed": share.claimed,
        "suspect": SUSPECT_DEATHS,
        "tasks": tasks,
    }


def _note(share: Share, rows: Rows) -> bool:
    """What was taken. Whether more was met than that."""
    taken = [row[:_FACTS] for row in rows if row[SEQ] is not None]
    share.note([(row,) for row in taken])
    share.room -= len(taken)
    return bool(len(taken) < rows[0][_MET])


def listed(names: Iterable[str]) -> str:
    return msgspec.json.encode(sorted(names)).decode()
