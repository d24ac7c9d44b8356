"""Leasing messages to a worker, a batch in one transaction.

Every row that a claim meets leaves the ready index: it is leased, or moved aside (busy key, unknown task), or set apart as a
suspect, or ended as expired. So what cannot run is met once. A claim meets at most `_MEET` rows a queue; if there is more it
says so and is asked again.

From a queue with limits it takes what they allow, and only what starts at once; what they keep back stays where it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from penstock.errors import LeaseLost
from penstock.model.delivery import SUSPECT_DEATHS, Delivery
from penstock.model.statement import Program, Row, Rows, Statement
from penstock.ports.queue import Claim, Claimed
from penstock.stores.sql.found import Found
from penstock.stores.sql.limits import Rules, gate, read_rules
from penstock.stores.sql.share import DEATHS, EXPIRES, KEY, RANK, SEQ, TASK, Share, as_json
from penstock.stores.sqlite.runs import Runs, occupy

_MEET = 2_000
_PROMOTE = 500
_GLANCE = 32
"""Rows to look at, however little room there is: some will not run."""


def claim(ask: Claim, now: int) -> Program[Claimed]:
    queues = msgspec.json.encode([queue for queue, _ in ask.queues]).decode()
    glances = yield Statement("glance", {"owner": ask.owner, "queues": queues})
    if not glances:
        raise LeaseLost(f"worker {ask.owner:x} was declared dead; what it held is another's")
    *_, suspected, ruled = glances[0]  # the same for all queues
    looks = {place: look for place, *look in glances}
    rules = (yield from read_rules()) if ruled else Rules(())
    if suspected and ask.suspects and (alone := (yield from _take_alone(ask, rules, now))):
        return Claimed([alone], more=True, next_due=None, suspects=True)
    found = Found(ask.slots)
    for place, (queue, room) in enumerate(ask.queues):
        if queue in rules.paused:
            continue
        due, strays, ready, *_ = looks[place]
        share = Share(ask, queue, room, now)
        share.admit((yield from gate(rules.limit(queue), now)), found.slots)
        if due is not None and due <= now:
            due, ready = (yield from _promote(share)), True
        if strays:
            ready |= yield from _call_strays_back(share)
        if ready:
            yield from _take_ready(share)
        yield from share.close()
        found.add(share)
        if suspected or share.set_apart:
            found.suspects |= yield from _suspect_waits(share, ask)
        found.note_due(due)
    return found.claimed(ask)


# -- before what is ready


def _promote(share: Share) -> Program[int | None]:
    """Move what is due to ready: at once, so that it competes by its priority. Returns when the next one is."""
    rows = yield Statement("due_now", {"queue": share.queue, "now": share.now, "limit": _PROMOTE})
    if rows:  # a queue that is named twice has been promoted already
        due, seq = rows[-1]
        yield Statement("promote", {"seqs": as_json(row[1] for row in rows)})
        yield Statement("drop_later", {"queue": share.queue, "due": due, "seq": seq})
        share.tally.move(share.queue, "delayed", "waiting", len(rows))
    return (yield Statement("next_due", {"queue": share.queue}))[0][0]  # type: ignore[no-any-return]


def _call_strays_back(share: Share) -> Program[bool]:
    """What went aside because its task was unknown there, and is known here, competes again: about as many as there is room. Returns
    whether there was any."""
    called = False
    limit = share.reach(_GLANCE, _MEET)
    for (task,) in (yield Statement("strays", {"queue": share.queue})):
        if task in share.tasks:
            back = yield Statement("known_strays", {"queue": share.queue, "task": task, "limit": limit})
            seqs = {"seqs": as_json(row[0] for row in back)}
            yield Statement("back_to_ready", seqs)
            yield Statement("leave_aside", seqs)
            share.more |= len(back) == limit
            called = True
    return called


# -- suspects


def _take_alone(ask: Claim, rules: Rules, now: int) -> Program[Sequence[Delivery] | None]:
    """Before anything else is taken, of whichever queue."""
    for queue in ask.suspects:
        if queue in rules.paused or not (yield Statement("suspect_waits", {"queue": queue})):
            continue
        share = Share(ask, queue, 1, now)
        share.admit((yield from gate(rules.limit(queue), now)), ask.slots)
        if share.room > 0 and (alone := (yield from _take_suspect(share))):
            return alone
    return None


def _take_suspect(share: Share) -> Program[Sequence[Delivery] | None]:
    rows = yield from _find_suspect(share)
    if not rows:
        return None
    row = rows[0]
    yield Statement("leave_suspect", {"seq": row[SEQ]})
    if row[KEY] is not None:
        yield occupy((share.queue, row[KEY], row[SEQ], share.owner))
    yield from share.lease([[row]])
    yield from share.close()
    yield from share.tally.write()
    return share.runs[0]


def _suspect_waits(share: Share, ask: Claim) -> Program[bool]:
    """For this worker, so that it is worth running dry."""
    if share.is_shut(ask) or not (yield Statement("suspect_waits", {"queue": share.queue})):
        return False
    if share.is_full and not (yield Statement("holds_of", {"owner": share.owner, "queue": share.queue})):
        return False  # others fill it
    return bool((yield from _find_suspect(share)))


def _find_suspect(share: Share) -> Program[Rows]:
    tasks = msgspec.json.encode(sorted(share.tasks)).decode()
    return (yield Statement("scan_suspect", {"queue": share.queue, "tasks": tasks}))


# -- what is ready


def _take_ready(share: Share) -> Program[None]:
    runs = Runs(share)
    yield from _meet(share, runs)
    yield from runs.wake_freed()
    yield from share.tally.write()


def _meet(share: Share, runs: Runs) -> Program[None]:
    met = 0
    while share.room > 0 and met < _MEET:
        limit = share.reach(_GLANCE, _MEET)
        rows = yield Statement("scan_ready", {"queue": share.queue, "limit": limit})
        if not rows:
            return
        taken = yield from _sort(rows, share, runs)
        last = rows[taken - 1]
        yield Statement("leave_ready", {"queue": share.queue, "rank": last[RANK], "seq": last[SEQ]})
        met += taken
        if taken == len(rows) < limit:
            return
    share.more |= bool((yield Statement("any_ready", {"queue": share.queue})))


def _sort(rows: Rows, share: Share, runs: Runs) -> Program[int]:
    """Decide each row in its order until the room is full; returns how many were met."""
    leased: list[Sequence[Row]] = []
    strays: list[int] = []
    asides: list[int] = []
    plain = share.plain
    met = 0
    for row in rows:
        if share.room <= 0:
            break
        met += 1
        if row[KEY] is not None:
            if run := (yield from runs.take(row)):
                leased.append(run)
            asides.append(row[SEQ])
        elif row[EXPIRES] is not None and row[EXPIRES] <= share.now:
            yield from share.expire([row])
        elif row[TASK] not in share.tasks:
            strays.append(row[SEQ])
        elif row[DEATHS] >= SUSPECT_DEATHS:
            yield Statement("put_suspect", {"seq": row[SEQ]})
            share.set_apart = True
        else:
            leased.append((row,))
            if plain:
                share.room -= 1
            else:
                share.take(row)
    yield from runs.write()
    if strays:
        yield Statement("put_stray", {"seqs": as_json(strays)})
    if asides := [seq for seq in asides if seq not in runs.gone]:
        yield Statement("put_aside", {"seqs": as_json(asides)})
    if leased:
        yield from share.lease(leased)
    return met
