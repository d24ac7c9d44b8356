"""Leasing messages to a worker, a transaction a queue: `ports.queue.Claim` promises no more.

**Steps.** One look at all queues says what there is (`look`), unless one rang that was calm (`haste`). Then each queue that has
something, in the order asked: where nothing but plain messages was met last time, one statement that takes them and counts itself
(`plain`). It leaves what it cannot decide, and then, or where keys, limits, batches, delays or strays come in, `_take` meets rows one
by one, in a transaction:

1. `owner_lives … for key share`: a rescue waits for this claim, a beat does not. Else a claim that began before a rescue leases to a
   worker who is dead, for ever.
2. With limits: the queue's lock, then a new statement that reads what runs. So claims of one queue go one after the other, each
   counts what the one before it took, and limits are exact.
3. What is due, and strays that this worker knows, come to ready.
4. Rows are met (`meeting`), and the keys of those that have one (`runs`). While there is room and more behind them, the same once more
   in a transaction of its own, up to `_MEET` rows; if few could run, more at a time.

**Locks** are waited for in this order only, here and in whatever else moves messages: the row of a worker (or who enrols), the limit of
a queue (only claims take it, each only one), the busy rows of keys by queue and key. A limit's lock is held while keys are waited for,
and whoever holds a key waits for no limit: so waiting for it ends. All other rows are skipped if they are locked. What a claim has
skipped it may report as nothing; who holds it has then taken it, or reports `more`.

If the server fails after some queues, what they gave is returned, because it is leased.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from penstock.errors import LeaseLost, StoreError
from penstock.model.limit import Limit
from penstock.model.statement import Program, Rows, Statement
from penstock.ports.queue import Claim, Claimed
from penstock.stores.postgres.course import Course, Step, at_once
from penstock.stores.postgres.locks import gate_of
from penstock.stores.postgres.look import Bounds, Place, Sight, Starts, look
from penstock.stores.postgres.meeting import Meeting
from penstock.stores.postgres.plain import Plain, hurry, listed, note_calm, take_plain
from penstock.stores.postgres.runs import Runs
from penstock.stores.sql.found import Found
from penstock.stores.sql.share import KEY, SEQ, Share

_MEET = 2_000
_PROMOTE = 500
_STRAYS = 32
"""At the least, however little room there is: some will not run."""


class _Part(Struct, frozen=True):
    """What one step asks of a queue."""

    place: Place
    room: float
    limit: Limit | None = None
    slots: float = 0
    least: int = 1
    """Rows to meet, however little room there is: of those before few could run."""
    most: int = _MEET


class _Taken(Struct, frozen=True):
    share: Share
    mixed: bool
    """Something was met that one statement cannot take."""
    suspects: bool
    """One waits for this worker, so that it is worth running dry."""
    due: int | None = None
    rest: _Part | None = None
    """There is room, and something is behind what was met."""


def claim(ask: Claim, now: int) -> Program[Claimed]:
    """In one transaction, which may be somebody else's, and may be rolled back: so it remembers nothing."""
    return (yield from at_once(course(ask, Bounds()), now))


def course(ask: Claim, bounds: Bounds, failed: Callable[[], None] = lambda: None) -> Course[Claimed]:
    """A transaction a queue. `failed` is told if one of them did, though others gave something. Raises LeaseLost."""
    found = Found(ask.slots)
    turn = bounds.haste.turn
    try:
        seen: Share | Sight = yield Step(partial(_begin, ask, bounds), single=True)
        if isinstance(seen, Share):
            found.add(seen)
            found.note_due(seen.now)
            return found.claimed(ask)
        sight = seen
        if lone := (yield from _take_alone(ask, sight)):
            bounds.haste.forget()
            return Claimed(lone.runs, more=True, next_due=None, suspects=True)
        for queue, room in ask.queues:
            if queue not in sight.rules.paused:
                part = _Part(sight.places[queue], room, sight.limit(queue), found.slots)
                yield from _visit(ask, part, sight.now, found, bounds)
        note_calm(ask, sight, bounds, left=found.more or found.suspects or turn != bounds.haste.turn)
    except StoreError as error:
        bounds.reset()
        if not found.runs or isinstance(error, LeaseLost):
            raise
        failed()
        found.more = True
    return found.claimed(ask)


def _begin(ask: Claim, bounds: Bounds, now: int) -> Program[Share | Sight]:
    """What was taken in haste, else what there is."""
    if (spot := bounds.haste.spot(ask, now)) is not None:
        share = yield from hurry(ask, spot, now)
        if share.runs:
            bounds.haste.forget()
            return share
    return (yield from look(ask, bounds, now))


def _visit(ask: Claim, part: _Part, looked: int, found: Found, bounds: Bounds) -> Course[None]:
    """Take from a queue, if the look says that there is something."""
    place = part.place
    found.note_due(place.next_due)
    moves = place.is_due(looked) or not ask.tasks.isdisjoint(place.strays)
    if not (place.starts or moves or (place.suspect and part.limit)):
        found.suspects |= place.suspect
        return
    if not (moves or part.limit or place.queue in bounds.mixed):
        plain: Plain = yield Step(partial(take_plain, ask, place, int(part.room)), single=True)
        found.add(plain.share)
        found.suspects |= place.suspect
        if not plain.mixed:
            return
        part = replace(part, room=plain.share.room)
    mixed = False
    rest: _Part | None = part
    while rest is not None:
        taken: _Taken = yield Step(partial(_take, ask, rest))
        found.add(taken.share)
        found.suspects |= taken.suspects
        found.note_due(taken.due)
        mixed |= taken.mixed
        rest = taken.rest
    (bounds.mixed.add if mixed else bounds.mixed.discard)(place.queue)


# -- suspects


def _take_alone(ask: Claim, sight: Sight) -> Course[Share | None]:
    """Before anything else is taken, of whichever queue."""
    for queue in ask.suspects:
        if queue not in sight.rules.paused and sight.places[queue].suspect:
            part = _Part(sight.places[queue], 1, sight.limit(queue), ask.slots)
            share: Share = yield Step(partial(_take_suspect, ask, part))
            if share.runs:
                return share
    return None


def _take_suspect(ask: Claim, part: _Part, now: int) -> Program[Share]:
    share = yield from _admitted(ask, part, now)
    if share.room > 0:
        rows = yield Statement("take_suspect", {"queue": share.queue, "tasks": listed(share.tasks)})
        free = bool(rows) and (rows[0][KEY] is None or (yield from Runs(share).occupy(rows)))
        if free:
            yield Statement("leave_suspect", {"seq": rows[0][SEQ]})
            yield from share.lease([rows])
            yield from share.close()
            yield from share.tally.write()
    return share


def _suspect_waits(share: Share, ask: Claim, known: bool) -> Program[bool]:
    if not known or share.is_shut(ask):
        return False
    if share.is_full:  # of others: this one waits for nothing
        return bool((yield Statement("holds_of", {"owner": share.owner, "queue": share.queue})))
    return True


# -- what has to be decided row by row


def _take(ask: Claim, part: _Part, now: int) -> Program[_Taken]:
    share = yield from _admitted(ask, part, now)
    starts = dict(part.place.starts)
    due = yield from _promote(share, part.place, starts)
    yield from _call_strays_back(share, part.place, starts)
    meeting = Meeting(share, starts)
    yield from meeting.meet(min(share.reach(part.least, _MEET), part.most))
    yield from share.tally.write()
    yield from share.close()
    suspects = yield from _suspect_waits(share, ask, part.place.suspect or meeting.suspects)
    return _Taken(share, meeting.mixed, suspects, due, _rest(part, meeting, share))


def _rest(part: _Part, meeting: Meeting, share: Share) -> _Part | None:
    """If few of what was met could run, more is met at a time."""
    most = part.most - meeting.met
    if not meeting.behind or most <= 0:
        share.more |= bool(meeting.behind)
        return None
    least = 8 * meeting.met if 2 * meeting.ran < meeting.met else share.reach(1, _MEET)
    place = replace(part.place, starts=meeting.behind, due=None, strays=())
    return replace(part, place=place, room=share.room, slots=part.slots - share.taken, least=least, most=most)


def _admitted(ask: Claim, part: _Part, now: int) -> Program[Share]:
    if not (yield Statement("owner_lives", {"owner": ask.owner})):
        raise LeaseLost(f"worker {ask.owner:x} was declared dead; what it held is another's")
    share = Share(ask, part.place.queue, part.room, now)
    share.admit((yield from gate_of(part.place.queue, part.limit, now)), part.slots)
    return share


def _promote(share: Share, place: Place, starts: Starts) -> Program[int | None]:
    """Move what is due to ready: at once, so that it competes by its priority. When to ask again, if that was not all."""
    if not place.is_due(share.now):
        return None
    facts = {"queue": share.queue, "since": place.due, "now": share.now, "limit": _PROMOTE}
    rows = yield Statement("promote", facts)
    _lower(starts, rows)
    share.tally.move(share.queue, "delayed", "waiting", len(rows))
    return share.now if len(rows) == _PROMOTE else None


def _call_strays_back(share: Share, place: Place, starts: Starts) -> Program[None]:
    """What went aside because its task was unknown there, and is known here, competes again: about as many as there is room."""
    limit = share.reach(_STRAYS, _MEET)
    for task in place.strays:
        if task in share.tasks:
            back = yield Statement("call_strays_back", {"queue": share.queue, "task": task, "limit": limit})
            _lower(starts, back)
            share.more |= len(back) == limit


def _lower(starts: Starts, rows: Rows) -> None:
    for rank, seq in rows:
        starts[rank] = min(seq, starts.get(rank, seq))
