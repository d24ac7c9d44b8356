"""One look at all queues of a claim: what there is to do, and from where to scan for it.

Rows that are gone stay in an index until vacuum takes them, and vacuum takes none while somebody reads an old snapshot. A scan of a
queue from its beginning walks over all of them. So each look tells the next one where to begin (`Bounds`):

- For each queue and rank a place such that no row below it was visible in the snapshot of the look (of none at all: infinity), and for
  each queue such a time. What others had taken and not committed was visible, so it holds the bound where it is.
- What became visible since: rows say which transaction brought them (`came`), and whatever is visible now and was not then came
  by a transaction that the older snapshot lists as running, or by a later one. Two index ranges, however much is dead below. What comes
  with a low place (a late commit, a retry, what was given back, a key's next) lowers the bound in the same look that may need it.

So nothing is passed over, not even for a moment, and no clock is asked. A look is one statement, in no transaction or in one that has
written nothing. The numbers of transactions go on as long as the server does: after a crash or a failover some may come again. So
whoever connects anew resets the bounds, and so does a claim that fails; behind a pooler nobody is told, and they last for a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from penstock.errors import LeaseLost
from penstock.model.clock import SECOND
from penstock.model.limit import Limit
from penstock.model.statement import Program, Row, Statement
from penstock.ports.queue import Claim
from penstock.stores.postgres.haste import RANKS, Haste
from penstock.stores.sql.limits import Rules

_SNAPSHOT, _LIVES, _NEWS, _READY, _LATER, _QUEUE, _STARTS, _DUE, _NEXT_DUE, _STRAYS, _SUSPECT, _RULES, _LAST = range(13)
"""Columns of a look. The first five say the same in each row."""
_NOTHING = (1 << 63) - 1
"""The bound of what is empty."""
_STALE = 5 * SECOND
"""Who has not looked for so long begins anew: too much may have come since."""
_FLOOD = 20_000
"""New rows that a look reads."""

Starts = dict[int, int]
"""By rank: the place from which to scan. A rank that is not there has nothing."""


class Place(Struct, frozen=True):
    """What there is in a queue."""

    queue: str
    starts: Starts
    due: int | None
    """When the first delayed message is due; now or before: from where to scan."""
    next_due: int | None
    """When the first one is that is not due now."""
    strays: Sequence[str]
    """Tasks of messages that were set aside because they were unknown."""
    suspect: bool
    """One waits that this worker knows."""

    def is_due(self, now: int) -> bool:
        return self.due is not None and self.due <= now


class Sight(Struct, frozen=True):
    now: int
    rules: Rules
    places: Mapping[str, Place]
    last: int
    """The place that was given last: what is put later comes behind it."""

    def limit(self, queue: str) -> Limit | None:
        return self.rules.limit(queue)


class _Known(Struct, frozen=True):
    """What one snapshot says. Replaced as a whole, so two looks side by side do no harm."""

    snapshot: str | None = None
    at: int = 0
    since: int = 0
    """When the first look was made that all this goes by."""
    starts: Mapping[str, Starts] = {}
    dues: Mapping[str, int] = {}


class Bounds:
    """Of one store's handle."""

    def __init__(self, lasting: int | None = None) -> None:
        """`lasting`: µs, if nobody says when a server has gone."""
        self.lasting = lasting
        self._known = _Known()
        self.mixed: set[str] = set()
        """Queues in which the last claim met what it could not take in one statement."""
        self.haste = Haste()

    def reset(self) -> None:
        self._known = _Known()
        self.haste.forget()

    def known(self, now: int) -> _Known:
        old = self.lasting is not None and now - self._known.since >= self.lasting
        if old or now - self._known.at >= _STALE:
            self.reset()
        return self._known

    def learn(self, used: _Known, known: _Known) -> None:
        """Unless they were reset meanwhile, or somebody else learnt."""
        if self._known is used:
            self._known = known


def look(ask: Claim, bounds: Bounds, now: int) -> Program[Sight]:
    """Raises LeaseLost."""
    known = bounds.known(now)
    rows = yield _look(ask, known, now)
    if rows[0][_NEWS] >= _FLOOD:
        bounds.reset()
        known = bounds.known(now)
        rows = yield _look(ask, known, now)
    if not rows[0][_LIVES]:
        raise LeaseLost(f"worker {ask.owner:x} was declared dead; what it held is another's")
    places = {row[_QUEUE]: _place(row) for row in rows if row[_QUEUE] is not None}
    bounds.learn(known, _learnt(known, rows[0], now, places.values()))
    return Sight(now, Rules([(row[_QUEUE], *rule) for row in rows for rule in _decoded(row[_RULES])]), places, rows[0][_LAST])


def _look(ask: Claim, known: _Known, now: int) -> Statement:
    asked: list[object] = []
    for queue in dict.fromkeys([queue for queue, _ in ask.queues] + list(ask.suspects)):
        starts = known.starts.get(queue)
        bounds = [0] * len(RANKS) if starts is None else [starts.get(rank, _NOTHING) for rank in RANKS]
        asked.append((queue, bounds, known.dues.get(queue, 0)))
    facts = {"owner": ask.owner, "tasks": _json(sorted(ask.tasks)), "asked": _json(asked), "now": now}
    return Statement("look", {**facts, "snapshot": known.snapshot, "flood": _FLOOD})


def _place(row: Row) -> Place:
    starts = dict(_decoded(row[_STARTS]))
    return Place(row[_QUEUE], starts, row[_DUE], row[_NEXT_DUE], _decoded(row[_STRAYS]), row[_SUSPECT])


def _learnt(known: _Known, row: Row, now: int, places: Iterable[Place]) -> _Known:
    """Of queues that were not looked at the bounds are lowered by what is new there."""
    starts = {queue: dict(some) for queue, some in known.starts.items()}
    dues = dict(known.dues)
    for queue, rank, seq in _decoded(row[_READY]):
        if queue in starts:
            starts[queue][rank] = min(seq, starts[queue].get(rank, _NOTHING))
    for queue, due in _decoded(row[_LATER]):
        if queue in dues:
            dues[queue] = min(due, dues[queue])
    for place in places:
        starts[place.queue] = place.starts
        dues[place.queue] = _NOTHING if place.due is None else place.due
    return _Known(row[_SNAPSHOT], now, known.since if known.snapshot else now, starts, dues)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _decoded(text: str | None) -> Any:
    return msgspec.json.decode(text) if text else ()
