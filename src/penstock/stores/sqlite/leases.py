"""Workers: who is in the registry, and taking back what a dead one held.

The incarnation is the fence. `penstock_worker` has a row for each live one; a claim checks it, a settle needs its lease rows.
Declaring one dead is a compare-and-set on its beat that deletes its row and its lease rows in the same transaction, so
a worker that was only slow finds nothing to settle and is told so by its next beat.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from penstock.model.delivery import FATAL_DEATHS, Delivery
from penstock.model.outcome import Dead
from penstock.model.statement import Program, Row, Statement
from penstock.ports.leases import Enrolment, Rescued
from penstock.stores.sqlite import keys
from penstock.stores.sqlite.history import finished
from penstock.stores.sqlite.settle import bury, note
from penstock.stores.sqlite.tally import Tally

SEQ, QUEUE, TASK, KEY, FAILURES, DEATHS = range(6)


def enrol(worker: Enrolment, now: int) -> Program[None]:
    facts = {"incarnation": worker.incarnation, "app": worker.app, "name": worker.name, "pid": worker.pid, "host": worker.host}
    facts["lease"] = worker.lease
    lists = {"queues": msgspec.json.encode(worker.queues).decode(), "tasks": msgspec.json.encode(worker.tasks).decode()}
    yield Statement("enrol", {**facts, **lists, "now": now})
    yield Statement("drop_hooks", {"tasks": lists["tasks"]})
    for task in worker.hooks:
        yield Statement("enrol_hook", {"task": task})


def beat(incarnation: int) -> Program[bool]:
    return bool((yield Statement("beat", {"incarnation": incarnation})))


def leave(incarnation: int, now: int) -> Program[int]:
    """In good order: what is held goes back uncounted."""
    if not (yield Statement("leave", {"incarnation": incarnation})):
        return 0
    released, _ = yield from _take_back(incarnation, now, death=False)
    return released


def rescue(incarnation: int, beat: int, now: int) -> Program[Rescued | None]:
    if not (yield Statement("declare_dead", {"incarnation": incarnation, "beat": beat})):
        return None
    released, dead = yield from _take_back(incarnation, now, death=True)
    return Rescued(incarnation, released, dead)


def _take_back(owner: int, now: int, *, death: bool) -> Program[tuple[int, int]]:
    held = yield Statement("held_by", {"owner": owner})
    stopped = {row[0] for row in (yield Statement("cancel_requests", {"owner": owner}))}
    yield Statement("release_all", {"owner": owner})
    yield Statement("drop_all_cancel_requests", {"owner": owner})
    tally = Tally()
    back: list[Row] = []
    dead = 0
    for row in held:
        if death:
            yield from note(row[SEQ], row[FAILURES] + 1, "died", now, f"{owner:016x}")
            yield Statement("count_death", {"seq": row[SEQ]})
        if row[SEQ] in stopped:
            yield finished(row[SEQ], row[QUEUE], "cancelled", now, row[FAILURES], owner, None, None)
            tally.move(row[QUEUE], "running", "cancelled")
            tally.add(row[QUEUE], "kept")
        elif death and row[DEATHS] + 1 >= FATAL_DEATHS:
            yield from _poison(row, now, tally)
            dead += 1
        else:
            back.append(row)
            tally.move(row[QUEUE], "running", "waiting")
    yield from _put_back(owner, back)
    yield from tally.write()
    return len(back), dead


def _put_back(owner: int, rows: list[Row]) -> Program[None]:
    ready = [row[SEQ] for row in rows if row[KEY] is None]
    aside = [row[SEQ] for row in rows if row[KEY] is not None]
    if ready:
        yield Statement("back_to_ready", {"seqs": str(ready)})
    if aside:
        yield Statement("put_aside", {"seqs": str(aside)})
    freed = yield Statement("free_all_keys", {"owner": owner})
    yield from keys.wake_all((row[0], row[1]) for row in freed)


def _poison(row: Row, now: int, tally: Tally) -> Program[None]:
    rows = yield Statement("id_of", {"seq": row[SEQ]})
    delivery = Delivery(row[SEQ], rows[0][0], row[QUEUE], row[TASK], row[FAILURES] + 1, b"", row[KEY])
    reason = f"its worker died {FATAL_DEATHS} times under it"
    yield from bury(delivery, Dead(reason), row[FAILURES], now)
    tally.move(row[QUEUE], "running", "dead")


def lead(role: str, owner: int, lease: int, now: int) -> Program[bool]:
    """Taken when free, over, or held by nobody who lives."""
    rows = yield Statement("leader", {"role": role})
    if rows and rows[0][0] != owner and rows[0][2] > now and (yield Statement("owner_lives", {"owner": rows[0][0]})):
        return False
    yield Statement("lead", {"role": role, "owner": owner, "until": now + lease})
    return True


def routable(tasks: Collection[str]) -> Program[list[str]]:
    known: set[str] = set()
    for row in (yield Statement("worker_tasks")):
        known.update(msgspec.json.decode(row[0], type=list[str]))
    return [task for task in tasks if task in known]
