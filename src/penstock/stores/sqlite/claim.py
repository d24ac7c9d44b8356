"""Leasing messages to a worker, a batch in one transaction.

Every row that a claim meets leaves the ready index: it is leased, or moved aside (busy key, unknown task), or set apart as a
suspect, or ended as expired. So what cannot run is met once. A claim meets at most `_MEET` rows a queue; if there is more it
says so and is asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from penstock.errors import LeaseLost
from penstock.model.delivery import SUSPECT_DEATHS, Delivery
from penstock.model.statement import Program, Row, Rows, Statement
from penstock.ports.queue import Claim, Claimed
from penstock.stores.sqlite import keys
from penstock.stores.sqlite.history import finished
from penstock.stores.sqlite.tally import Tally

_MEET = 2_000
_PROMOTE = 500
_GLANCE = 32
"""Rows to look at, however little room there is: some will not run."""

SEQ, ID, TASK, KEY, FAILURES, DEATHS, EXPIRES, ENQUEUED, HEADERS, OPTIONS, BODY, RANK = range(12)
PLACE = RANK
_OCCUPIED = 4


def claim(ask: Claim, now: int) -> Program[Claimed]:
    if not (yield Statement("owner_lives", {"owner": ask.owner})):
        raise LeaseLost(f"worker {ask.owner:x} was declared dead; what it held is another's")
    paused = {row[0] for row in (yield Statement("paused"))}
    queues = [(queue, room) for queue, room in ask.queues if queue not in paused]
    runs: list[Sequence[Delivery]] = []
    more = suspects = False
    dues: list[int] = []
    for queue, room in queues:
        search = _Search(ask, queue, room, now)
        yield from search.promote()
        if ask.suspects and not runs and (alone := (yield from search.suspect())):
            return Claimed([alone], more=True, next_due=None, suspects=True)
        yield from search.strays()
        yield from search.ready()
        yield from search.finish()
        runs += search.runs
        more |= search.more
        suspects |= yield from search.suspect_waits()
        due = (yield Statement("next_due", {"queue": queue}))[0][0]
        if due is not None:
            dues.append(due)
    return Claimed(runs, more, min(dues, default=None), suspects)


class _Search:
    """One queue's part of a claim."""

    def __init__(self, ask: Claim, queue: str, room: int, now: int) -> None:
        self.runs: list[Sequence[Delivery]] = []
        self.more = False
        self.tally = Tally()
        self._ask = ask
        self._queue = queue
        self._room = room
        self._now = now
        self._settled_keys: set[str] = set()
        self._held_by: dict[str, int] = {}
        self._taken: set[int] = set()
        self._left: dict[str, list[int]] = {"ready": [], "aside": []}
        self._occupied: list[object] = []
        self._wakes: set[tuple[str, str]] = set()

    def promote(self) -> Program[None]:
        """Move what is due to ready: at once, so that it competes by its priority."""
        rows = yield Statement("due_now", {"queue": self._queue, "now": self._now, "limit": _PROMOTE})
        if not rows:
            return
        due, seq = rows[-1]
        yield Statement("promote", {"seqs": _json(row[1] for row in rows)})
        yield Statement("drop_later", {"queue": self._queue, "due": due, "seq": seq})
        self.tally.move(self._queue, "delayed", "waiting", len(rows))

    def suspect(self) -> Program[Sequence[Delivery] | None]:
        rows = yield Statement("scan_suspect", {"queue": self._queue, "tasks": _names(self._ask.tasks)})
        if not rows:
            return None
        row = rows[0]
        yield Statement("leave_suspect", {"seq": row[SEQ]})
        if row[KEY] is not None:
            yield Statement("occupy", values=(self._queue, row[KEY], row[SEQ], self._ask.owner), width=_OCCUPIED)
        yield from self._lease([[row]])
        yield from self.tally.write()
        return self.runs[0]

    def suspect_waits(self) -> Program[bool]:
        if not (yield Statement("suspect_waits", {"queue": self._queue})):
            return False
        return bool((yield Statement("scan_suspect", {"queue": self._queue, "tasks": _names(self._ask.tasks)})))

    def strays(self) -> Program[None]:
        """What went aside because its task was unknown there, and is known here, competes again: about as many as there is room."""
        limit = max(self._room, _GLANCE)
        for (task,) in (yield Statement("strays", {"queue": self._queue})):
            if task in self._ask.tasks and self._room > 0:
                back = yield Statement("known_strays", {"queue": self._queue, "task": task, "limit": limit})
                seqs = {"seqs": _json(row[0] for row in back)}
                yield Statement("back_to_ready", seqs)
                yield Statement("leave_aside", seqs)
                self.more |= len(back) == limit

    def ready(self) -> Program[None]:
        met = 0
        while self._room > 0 and met < _MEET:
            limit = max(self._room, _GLANCE)
            rows = yield Statement("scan_ready", {"queue": self._queue, "limit": limit})
            if not rows:
                return
            taken = yield from self._sort(rows)
            last = rows[taken - 1]
            yield Statement("leave_ready", {"queue": self._queue, "rank": last[RANK], "seq": last[SEQ]})
            met += taken
            if taken == len(rows) < limit:
                return
        self.more |= bool((yield Statement("any_ready", {"queue": self._queue})))

    def finish(self) -> Program[None]:
        """Freed keys wake only now: a row put back earlier could lie in the range that was met and is deleted."""
        self.more |= bool(self._wakes)
        yield from keys.wake(sorted(self._wakes))
        yield from self.tally.write()

    def _sort(self, rows: Rows) -> Program[int]:
        """Decide each row in its order until the room is full; returns how many were met."""
        leased: list[Sequence[Row]] = []
        strays: list[int] = []
        asides: list[int] = []
        met = 0
        for row in rows:
            if self._room <= 0:
                break
            met += 1
            if row[KEY] is not None:
                if run := (yield from self._keyed(row)):
                    leased.append(run)
                asides.append(row[SEQ])
            elif row[EXPIRES] is not None and row[EXPIRES] <= self._now:
                yield from self._expire(row)
            elif row[TASK] not in self._ask.tasks:
                strays.append(row[SEQ])
            elif row[DEATHS] >= SUSPECT_DEATHS:
                yield Statement("put_suspect", {"seq": row[SEQ]})
            else:
                leased.append((row,))
                self._room -= 1
        yield from self._write()
        if strays:
            yield Statement("put_stray", {"seqs": _json(strays)})
        if asides := [seq for seq in asides if seq not in self._taken]:
            yield Statement("put_aside", {"seqs": _json(asides)})
        if leased:
            yield from self._lease(leased)
        return met

    def _keyed(self, met: Row) -> Program[Sequence[Row]]:
        """The row of a key stands for the key: take the run that begins with its first message, or nothing."""
        key = met[KEY]
        if met[SEQ] in self._taken or key in self._settled_keys or self._held_by.get(key, met[SEQ]) != met[SEQ]:
            return ()
        busy = yield Statement("busy_key", {"queue": self._queue, "key": key})
        if busy and busy[0][1] is None and busy[0][0] != met[SEQ]:
            self._held_by[key] = busy[0][0]
            return ()
        self._settled_keys.add(key)
        if busy and busy[0][1] is not None:
            return ()
        return (yield from self._take_run(key))

    def _take_run(self, key: str) -> Program[Sequence[Row]]:
        rows = yield Statement("run_of_key", {"queue": self._queue, "key": key, "limit": keys.RUN})
        run, ended = self._first(rows)
        self._leave([*ended, *run])
        for row in ended:
            yield from self._expire(row)
        if run:
            self._occupied += (self._queue, key, run[-1][SEQ], self._ask.owner)
            self._room -= len(run)
            return run
        yield Statement("vacate", {"queue": self._queue, "key": key})
        if len(ended) < len(rows):
            yield from self._set_apart(rows[len(ended)])
        else:
            self._wakes.add((self._queue, key))
        return ()

    def _first(self, rows: Rows) -> tuple[list[Row], list[Row]]:
        """The first messages, as far as they may run here and now, and the expired ones before them."""
        run: list[Row] = []
        ended: list[Row] = []
        for row in rows:
            if row[EXPIRES] is not None and row[EXPIRES] <= self._now and not run:
                ended.append(row)
            elif self._runs(row) and len(run) < self._room:
                run.append(row)
            else:
                break
        return run, ended

    def _runs(self, row: Row) -> bool:
        fresh = row[EXPIRES] is None or row[EXPIRES] > self._now
        return fresh and row[TASK] in self._ask.tasks and row[DEATHS] < SUSPECT_DEATHS

    def _set_apart(self, head: Row) -> Program[None]:
        """The key's first message is a suspect, which holds the key, or a stray, behind which the key waits."""
        self._leave([head])
        yield from self._write()
        if head[TASK] not in self._ask.tasks:
            yield Statement("put_stray", {"seqs": _json([head[SEQ]])})
        else:
            yield Statement("put_suspect", {"seq": head[SEQ]})
            self._occupied += (self._queue, head[KEY], head[SEQ], None)

    def _leave(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._taken.add(row[SEQ])
            self._left[row[PLACE]].append(row[SEQ])

    def _write(self) -> Program[None]:
        """What the runs of many keys leave and occupy. A key is looked at once a claim, so nobody misses it in between."""
        for place, statement in (("ready", "leave_ready_some"), ("aside", "leave_aside")):
            if seqs := self._left[place]:
                yield Statement(statement, {"seqs": _json(seqs)})
                self._left[place] = []
        if self._occupied:
            yield Statement("occupy", values=self._occupied, width=_OCCUPIED)
            self._occupied = []

    def _expire(self, row: Row) -> Program[None]:
        yield finished((row[SEQ], self._queue, "expired", self._now, row[FAILURES], None, None, None))
        self.tally.move(self._queue, "waiting", "expired")
        self.tally.add(self._queue, "kept")

    def _lease(self, runs: Sequence[Sequence[Row]]) -> Program[None]:
        seqs = [row[SEQ] for run in runs for row in run]
        yield Statement("lease", {"owner": self._ask.owner, "now": self._now, "seqs": _json(seqs)})
        self.runs += [[self._delivery(row) for row in run] for run in runs]
        self.tally.move(self._queue, "waiting", "running", len(seqs))

    def _delivery(self, row: Row) -> Delivery:
        seq, job_id, task, key, failures, deaths, expires, enqueued, headers, options, body, _ = row
        return Delivery(seq, job_id, self._queue, task, failures + 1, body, key, headers, options, enqueued, deaths, expires)


def _json(seqs: Iterable[int]) -> str:
    return str(list(seqs))  # a list of ints prints as JSON


def _names(tasks: frozenset[str]) -> str:
    return msgspec.json.encode(sorted(tasks)).decode()
