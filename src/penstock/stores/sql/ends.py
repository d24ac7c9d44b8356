"""Ends that come from outside a worker: cancellation, expiry, dead letters replayed or discarded, history forgotten."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from penstock.errors import NotFound
from penstock.model.job import Cancelled
from penstock.model.statement import Program, Row, Statement
from penstock.stores.sql import keys
from penstock.stores.sql.history import finished, note, remembered
from penstock.stores.sql.letters import WIDTH as LETTER_WIDTH
from penstock.stores.sql.tally import Count, Tally
from penstock.stores.sql.uniques import held_until_done, let_go, refused_again

SEQ, QUEUE, TASK, KEY, RANK, DUE, FAILURES, DEATHS, ID, OPTIONS = range(10)
LETTER_ID, LETTER_QUEUE, LETTER_OPTIONS, LETTER = range(1, 5)
_FRESH = 0
"""The `last` of a key that was free before it was seized."""


def cancel(job_id: str, now: int) -> Program[Cancelled | None]:
    """None: it has just moved; nothing was written. On SQLite, which has one writer, nothing moves meanwhile."""
    rows = yield Statement("find_message", {"id": job_id})
    if not rows:
        raise NotFound(f"cancel: no job {job_id} in this store (its history may be over)")
    row = rows[0]
    if (yield Statement("is_over", {"seq": row[SEQ]})):
        return "ended"
    holder = yield Statement("holder", {"seq": row[SEQ]})
    if holder:
        return "requested" if (yield Statement("request_cancel", {"owner": holder[0][0], "seq": row[SEQ]})) else None
    tally = Tally()
    if not (yield from _end(row, "cancelled", now, tally)):
        return None
    yield from tally.write()
    return "cancelled"


def expire(limit: int, now: int) -> Program[int]:
    """End what waited too long. What is over only loses its mark; what runs is not met."""
    rows = yield Statement("expired", {"now": now, "limit": limit})
    tally = Tally()
    ended = 0
    moved: set[int] = set()
    for row in rows:
        over = yield Statement("is_over", {"seq": row[SEQ]})
        if not over and not (yield Statement("holder", {"seq": row[SEQ]})):
            if (yield from _end(row, "expired", now, tally)):
                ended += 1
            else:
                moved.add(row[SEQ])
    if marked := [row[SEQ] for row in rows if row[SEQ] not in moved]:
        yield Statement("forget_expiry", {"seqs": str(marked)})
    yield from tally.write()
    return ended


def _end(row: Row, how: Count, now: int, tally: Tally) -> Program[bool]:
    """End a message that waits. False: it was found nowhere, because it has just moved. Nobody moves it while its key is ours."""
    name = {"queue": row[QUEUE], "key": row[KEY]}
    seized = () if row[KEY] is None else (yield Statement("seize_key", {**name, "seq": row[SEQ]}))
    was = yield from _take(row)
    if was is not None:
        yield finished((row[SEQ], row[QUEUE], how, now, row[FAILURES], None, None, None))
        tally.move(row[QUEUE], was, how)
        tally.add(row[QUEUE], "kept")
        yield from let_go([(row[ID], row[OPTIONS])], now)
    if seized and (was is not None or seized[0][0] == _FRESH):
        yield Statement("vacate", name)
        yield from keys.wake([(row[QUEUE], row[KEY])])
    return was is not None


def _take(row: Row) -> Program[Count | None]:
    """Out of where it waits, wherever it does; how it was counted there."""
    place = {"queue": row[QUEUE], "seq": row[SEQ]}
    if (yield Statement("take_from_ready", {**place, "rank": row[RANK]})):
        return "waiting"
    if row[DUE] is not None and (yield Statement("take_from_later", {**place, "due": row[DUE]})):
        return "delayed"
    for statement in ("take_from_aside", "take_from_suspect"):
        if (yield Statement(statement, {"seq": row[SEQ]})):
            return "waiting"
    return None


def replay(ids: Sequence[str], now: int) -> Program[list[str]]:
    """Back to their queues under the same ids, at the end of their keys, in their old order; in its place what holds its key. What
    waits for its time runs now. One whose unique name is another's by now stays where it is."""
    early = yield from _hasten(ids)
    letters = yield from _with_their_names((yield from _unbury(ids)), now)
    if not letters:
        return early
    yield Statement("forget_progress", {"seqs": _seqs(letters)})
    holding = {row[0] for row in (yield Statement("held_letters", {"seqs": _seqs(letters)}))}
    again = yield from _renumber([row for row in letters if row[SEQ] not in holding])
    if holding:
        yield Statement("reset_failures", {"seqs": str(list(holding))})
        again += holding
    yield remembered([value for seq in again for value in note(seq, 0, "replayed", now, None)])
    yield Statement("back_to_ready", {"seqs": str(again)})
    tally = Tally()
    for letter in letters:
        tally.move(letter[LETTER_QUEUE], "dead", "waiting")
    yield from tally.write()
    return [*early, *(letter[LETTER_ID] for letter in letters)]


def _renumber(letters: Sequence[Row]) -> Program[list[int]]:
    """New places at the ends of their keys."""
    if not letters:
        return []
    old = {letter[LETTER_ID]: letter[SEQ] for letter in letters}
    moved = yield Statement("renumber", {"seqs": _seqs(letters)})
    yield Statement("renumber_attempts", values=[seq for job_id, new in moved for seq in (old[job_id], new)], width=2)
    return [new for _, new in moved]


def _hasten(ids: Sequence[str]) -> Program[list[str]]:
    """What waits for its time does not any more."""
    found = yield Statement("find_later", {"ids": _once(ids)})
    if not found:
        return []
    gone = {row[0] for row in (yield Statement("leave_later", {"seqs": _seqs(found)}))}
    rows = [row for row in found if row[SEQ] in gone]
    yield Statement("back_to_ready", {"seqs": _seqs(rows)})
    tally = Tally()
    for _, _, queue in rows:
        tally.move(queue, "delayed", "waiting")
    yield from tally.write()
    return [row[1] for row in rows]


def _unbury(ids: Sequence[str]) -> Program[list[Row]]:
    """The letters that went just now. Somebody else may have replayed or discarded those that were found."""
    found = yield Statement("find_letters", {"ids": _once(ids)})
    gone = {row[SEQ]: row for row in (yield Statement("unbury", {"seqs": _seqs(found)}))} if found else {}
    return [(*row, gone[row[SEQ]]) for row in found if row[SEQ] in gone]


def _with_their_names(letters: Sequence[Row], now: int) -> Program[Sequence[Row]]:
    """Those that need none, or have it again. The others are buried as they were."""
    named = [(hold, letter[LETTER_ID]) for letter in letters if (hold := held_until_done(letter[LETTER_OPTIONS])) is not None]
    refused = (yield from refused_again(named, now)) if named else set()
    if stay := [value for letter in letters if letter[LETTER_ID] in refused for value in letter[LETTER]]:
        yield Statement("bury", values=stay, width=LETTER_WIDTH)
    return [letter for letter in letters if letter[LETTER_ID] not in refused]


def discard(ids: Sequence[str], now: int) -> Program[list[str]]:
    """Gone from the dead letters; the history keeps that it was discarded. A key that one held goes on."""
    letters = yield from _unbury(ids)
    freed = (yield Statement("held_letters", {"seqs": _seqs(letters)})) if letters else ()
    tally = Tally()
    ends: list[object] = []
    for seq, _, queue, *_ in letters:
        ends += (seq, queue, "cancelled", now, 0, None, None, "discarded from the dead letters")
        tally.move(queue, "dead", "cancelled")
        tally.add(queue, "kept")
    if ends:
        yield finished(ends)
    for _, queue, key in freed:
        yield Statement("vacate", {"queue": queue, "key": key})
    yield from keys.wake([(queue, key) for _, queue, key in freed])
    yield from tally.write()
    return [letter[LETTER_ID] for letter in letters]


class Pruning:
    """Forgetting ended jobs, the oldest first: from the beginning, on while something goes, and again from the beginning."""

    def __init__(self) -> None:
        self._after = 0
        self._crowded = False

    def prune(self, limit: int, age: int, keep: int, now: int) -> Program[int]:
        kept = {row[0]: row[1] for row in (yield Statement("kept"))}
        crowded = any(count > keep for count in kept.values())
        if crowded and not self._crowded:
            self._after = 0
        self._crowded = crowded
        rows = yield Statement("old_finished", {"after": self._after, "limit": limit})
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
            for statement in ("forget_finished", "forget_attempts", "forget_progress", "forget_messages"):
                yield Statement(statement, seqs)
        yield from tally.write()
        yield Statement("forget_unique", {"now": now, "limit": limit})
        yield Statement("forget_watches")
        self._after = rows[-1][0] if len(rows) == limit and (gone or crowded) else 0
        return len(gone)


def _once(ids: Sequence[str]) -> str:
    return msgspec.json.encode(list(dict.fromkeys(ids))).decode()


def _seqs(rows: Sequence[Row]) -> str:
    return str([row[SEQ] for row in rows])
