"""Workers: who is in the registry, and taking back what a dead one held.

The incarnation is the fence. `penstock_worker` has a row for each live one; a claim checks it, a settle needs its lease rows.
Declaring one dead is a compare-and-set on its beat that deletes its row and its lease rows in the same transaction, so
a worker that was only slow finds nothing to settle and is told so by its next beat.

A hook goes when its task is known, and by nobody with it: after an enrolment, or when a worker left. Not after a rescue: a crash is no
rollback. Where no live worker knows the task, it stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from penstock.model.delivery import FATAL_DEATHS, MOST_FAILURES, Delivery
from penstock.model.outcome import Dead
from penstock.model.statement import Program, Row, Statement
from penstock.ports.leases import Enrolment, Rescued
from penstock.stores.sql import keys, wishes
from penstock.stores.sql.dialect import Put
from penstock.stores.sql.history import finished, note, remembered
from penstock.stores.sql.letters import bury
from penstock.stores.sql.limits import register
from penstock.stores.sql.tally import Tally
from penstock.stores.sql.uniques import let_go

SEQ, ID, QUEUE, TASK, KEY, FAILURES, DEATHS, OPTIONS = range(8)


def enrol(worker: Enrolment, now: int) -> Program[None]:
    facts = {"incarnation": worker.incarnation, "app": worker.app, "name": worker.name, "pid": worker.pid, "host": worker.host}
    facts["lease"] = worker.lease
    named = {"queues": worker.queues, "tasks": worker.tasks, "hooks": worker.hooks}
    lists = {name: msgspec.json.encode(names).decode() for name, names in named.items()}
    yield Statement("enrol", {**facts, **lists, "now": now})
    yield Statement("enrol_hooks", {"hooks": lists["hooks"]})
    yield Statement("drop_hooks")
    yield from wishes.make(worker.incarnation, worker.wishes, now)
    if worker.limits is not None:
        yield from register(worker.app, worker.limits)


def beat(incarnation: int) -> Program[bool]:
    return bool((yield Statement("beat", {"incarnation": incarnation})))


def note_blocked(incarnation: int, stack: str, now: int) -> Program[None]:
    """It stands beside the operators' settings, which are few, as this is."""
    place = {"scope": f"worker:{incarnation}", "name": "blocked"}
    if stack:
        value = msgspec.json.encode(stack).decode()
        yield Statement("set_setting", {**place, "value": value, "by": "beat", "at": now})
    else:
        yield Statement("drop_setting", place)


def leave(incarnation: int, now: int, put: Put) -> Program[int]:
    """In good order: what is held goes back uncounted."""
    if not (yield Statement("leave", {"incarnation": incarnation})):
        return 0
    yield from note_blocked(incarnation, "", now)
    yield from wishes.end(incarnation, now)
    released, _ = yield from _take_back(incarnation, now, put, death=False)
    yield Statement("drop_hooks")
    return released


def rescue(incarnation: int, beat: int, now: int, put: Put) -> Program[Rescued | None]:
    if not (yield Statement("declare_dead", {"incarnation": incarnation, "beat": beat})):
        return None
    yield from note_blocked(incarnation, "", now)
    yield from wishes.end(incarnation, now)
    released, dead = yield from _take_back(incarnation, now, put, death=True)
    return Rescued(incarnation, released, dead)


def _take_back(owner: int, now: int, put: Put, *, death: bool) -> Program[tuple[int, int]]:
    """Only what was still leased when its lease was deleted: a settle may have ended the rest just before."""
    released = [row[0] for row in (yield Statement("release_all", {"owner": owner}))]
    held = yield Statement("facts_of", {"seqs": str(released)})
    stopped = {row[0] for row in (yield Statement("drop_all_cancel_requests", {"owner": owner}))}
    if death and held:
        yield remembered([value for row in held for value in note(row[SEQ], _attempt(row), "died", now, f"{owner:016x}")])
        yield Statement("count_deaths", {"seqs": str(released)})
    fatal = FATAL_DEATHS - 1 if death else math.inf
    ended = [row for row in held if row[SEQ] in stopped]
    poisoned = [row for row in held if row[SEQ] not in stopped and row[DEATHS] >= fatal]
    back = [row for row in held if row[SEQ] not in stopped and row[DEATHS] < fatal]
    tally = Tally()
    yield from _end(owner, ended, now, tally)
    yield from _poison(poisoned, now, tally, put)
    yield from let_go([(row[ID], row[OPTIONS]) for row in (*ended, *poisoned)], now)
    yield from _put_back(owner, back, tally)
    yield from tally.write()
    return len(back), len(poisoned)


def _end(owner: int, rows: Sequence[Row], now: int, tally: Tally) -> Program[None]:
    ends: list[object] = []
    for row in rows:
        ends += (row[SEQ], row[QUEUE], "cancelled", now, row[FAILURES], owner, None, None)
        tally.move(row[QUEUE], "running", "cancelled")
        tally.add(row[QUEUE], "kept")
    if ends:
        yield finished(ends)


def _attempt(row: Row) -> int:
    return int(min(row[FAILURES], MOST_FAILURES)) + 1


def _poison(rows: Sequence[Row], now: int, tally: Tally, put: Put) -> Program[None]:
    dead: list[tuple[Delivery, Dead, int]] = []
    for row in rows:
        delivery = Delivery(row[SEQ], row[ID], row[QUEUE], row[TASK], _attempt(row), b"", row[KEY])
        dead.append((delivery, Dead(f"its worker died {FATAL_DEATHS} times under it"), row[FAILURES]))
        tally.move(row[QUEUE], "running", "dead")
        tally.add(row[QUEUE], "failed")
    if dead and (held := (yield from bury(dead, now, put))):
        yield keys.hold((each.queue, each.key or "", each.seq) for each in held)


def _put_back(owner: int, rows: Sequence[Row], tally: Tally) -> Program[None]:
    for row in rows:
        tally.move(row[QUEUE], "running", "waiting")
    ready = [row[SEQ] for row in rows if row[KEY] is None]
    aside = [row[SEQ] for row in rows if row[KEY] is not None]
    if ready:
        yield Statement("back_to_ready", {"seqs": str(ready)})
    if aside:
        yield Statement("put_aside", {"seqs": str(aside)})
    yield from keys.wake((yield Statement("free_all_keys", {"owner": owner})))


def lead(role: str, owner: int, lease: int, now: int) -> Program[bool]:
    """Taken when free, over, or held by nobody who lives: one compare-and-set."""
    return bool((yield Statement("lead", {"role": role, "owner": owner, "now": now, "until": now + lease})))
