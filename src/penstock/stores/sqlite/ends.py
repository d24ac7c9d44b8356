"""Ends that come from outside a worker: cancellation, expiry, dead letters replayed or discarded, history forgotten."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from penstock.errors import NotFound
from penstock.model.job import Cancelled
from penstock.model.statement import Program, Row, Statement
from penstock.stores.sqlite import keys
from penstock.stores.sqlite.history import finished
from penstock.stores.sqlite.settle import note
from penstock.stores.sqlite.tally import Count, Tally

SEQ, QUEUE, TASK, KEY, RANK, DUE, FAILURES, DEATHS = range(8)


def cancel(job_id: str, now: int) -> Program[Cancelled]:
    rows = yield Statement("find_message", {"id": job_id})
    if not rows:
        raise NotFound(f"cancel: no job {job_id} in this store (its history may be over)")
    row = rows[0]
    if (yield Statement("is_over", {"seq": row[SEQ]})):
        return "ended"
    holder = yield Statement("holder", {"seq": row[SEQ]})
    if holder:
        yield Statement("request_cancel", {"owner": holder[0][0], "seq": row[SEQ]})
        return "requested"
    tally = Tally()
    yield from _end(row, "cancelled", now, tally)
    yield from tally.write()
    return "cancelled"


def expire(limit: int, now: int) -> Program[int]:
    """End what waited too long. What runs, or is over, only loses its mark."""
    rows = yield Statement("expired", {"now": now, "limit": limit})
    tally = Tally()
    ended = 0
    for row in rows:
        over = yield Statement("is_over", {"seq": row[SEQ]})
        if not over and not (yield Statement("holder", {"seq": row[SEQ]})):
            yield from _end(row, "expired", now, tally)
            ended += 1
    if rows:
        yield Statement("forget_expiry", {"seqs": _seqs(rows)})
    yield from tally.write()
    return ended


def _end(row: Row, how: Count, now: int, tally: Tally) -> Program[None]:
    """End a message that waits, wherever it does."""
    place = {"queue": row[QUEUE], "seq": row[SEQ]}
    was: Count = "waiting"
    taken = yield Statement("take_from_ready", {**place, "rank": row[RANK]})
    if not taken and row[DUE] is not None:
        taken = yield Statement("take_from_later", {**place, "due": row[DUE]})
        was = "delayed" if taken else "waiting"
    if not taken:
        yield Statement("take_from_aside", {"seq": row[SEQ]})
        yield Statement("take_from_suspect", {"seq": row[SEQ]})
    yield finished(row[SEQ], row[QUEUE], how, now, row[FAILURES], None, None, None)
    tally.move(row[QUEUE], was, how)
    tally.add(row[QUEUE], "kept")
    if row[KEY] is not None:
        yield Statement("give_up_key", {"queue": row[QUEUE], "key": row[KEY], "seq": row[SEQ]})
        yield from keys.wake(row[QUEUE], row[KEY])


def replay(ids: Sequence[str], now: int) -> Program[list[str]]:
    """Back to their queues under the same ids, at the end of their keys, in their old order; what waits for its time runs now."""
    early = yield from _hasten(ids)
    letters = yield Statement("find_letters", {"ids": _once(ids)})
    last = yield Statement("last_seq")
    new = last[0][0] if last else 0
    tally = Tally()
    for seq, _, queue, _ in letters:
        new += 1
        yield Statement("unbury", {"seq": seq})
        yield Statement("renumber", {"seq": seq, "new": new})
        yield Statement("renumber_attempts", {"seq": seq, "new": new})
        yield from note(new, 0, "replayed", now, None)
        yield Statement("back_to_ready", {"seqs": f"[{new}]"})
        tally.move(queue, "dead", "waiting")
    if letters:
        yield Statement("advance_seq", {"seq": new})
    yield from tally.write()
    return [*early, *(row[1] for row in letters)]


def _hasten(ids: Sequence[str]) -> Program[list[str]]:
    rows = yield Statement("find_later", {"ids": _once(ids)})
    tally = Tally()
    for seq, _, queue, due in rows:
        yield Statement("take_from_later", {"queue": queue, "due": due, "seq": seq})
        yield Statement("back_to_ready", {"seqs": f"[{seq}]"})
        tally.move(queue, "delayed", "waiting")
    yield from tally.write()
    return [row[1] for row in rows]


def discard(ids: Sequence[str], now: int) -> Program[list[str]]:
    """Gone from the dead letters; the history keeps that it was discarded."""
    letters = yield Statement("find_letters", {"ids": _once(ids)})
    tally = Tally()
    for seq, _, queue, _ in letters:
        yield Statement("unbury", {"seq": seq})
        yield finished(seq, queue, "cancelled", now, 0, None, None, "discarded from the dead letters")
        tally.move(queue, "dead", "cancelled")
        tally.add(queue, "kept")
    yield from tally.write()
    return [row[1] for row in letters]


class Pruning:
    """Forgetting ended jobs. A pass goes through the history by seq, `limit` rows at a time, then starts again."""

    def __init__(self) -> None:
        self._after = 0

    def prune(self, limit: int, age: int, keep: int, now: int) -> Program[int]:
        rows = yield Statement("old_finished", {"after": self._after, "limit": limit})
        kept = {row[0]: row[1] for row in (yield Statement("kept"))}
        tally = Tally()
        gone: list[int] = []
        for seq, queue, ended, given in rows:
            old = ended < now - age
            if old or (kept[queue] > keep and not given):
                gone.append(seq)
                kept[queue] -= 1
                tally.add(queue, "kept", -1)
        if gone:
            seqs = {"seqs": str(gone)}
            for statement in ("forget_finished", "forget_attempts", "forget_messages"):
                yield Statement(statement, seqs)
        yield from tally.write()
        self._after = rows[-1][0] if len(rows) == limit else 0
        return len(gone)


def _once(ids: Sequence[str]) -> str:
    return msgspec.json.encode(list(dict.fromkeys(ids))).decode()


def _seqs(rows: Sequence[Row]) -> str:
    return str([row[SEQ] for row in rows])
