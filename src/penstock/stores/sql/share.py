"""One queue's part of a claim: how much it may take, for whom, and what it took."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from penstock.model.clock import SECOND
from penstock.model.delivery import MOST_FAILURES, SUSPECT_DEATHS, Delivery
from penstock.model.statement import Program, Row, Statement
from penstock.ports.queue import Claim
from penstock.stores.sql.history import finished
from penstock.stores.sql.limits import Gate
from penstock.stores.sql.tally import Tally
from penstock.stores.sql.uniques import let_go

SEQ, ID, TASK, KEY, FAILURES, DEATHS, EXPIRES, ENQUEUED, HEADERS, OPTIONS, BODY, TYPE, RANK = range(13)
"""What a claim reads of a message. In a run of a key `PLACE` stands instead of `RANK`."""

_RUN_DRY = 2 * SECOND
"""What a turn of the suspects takes to come, about."""
_NOTHING = 1e-9
"""Room that is left by the rounding of parts."""


class Share:
    def __init__(self, ask: Claim, queue: str, room: float, now: int) -> None:
        self.owner = ask.owner
        self.tasks = ask.tasks
        self.batches = ask.batches
        self.queue = queue
        self.now = now
        self.claimed = ask.claimed or now
        self.room = room
        """Slots' worth that may be taken yet. Whoever takes counts it down."""
        self.plain = not ask.batches
        """A message takes one slot, and there is nothing else to count."""
        self.runs: list[Sequence[Delivery]] = []
        self.more = False
        self.set_apart = False
        """A suspect was met."""
        self.tally = Tally()
        self._asked = room
        self._allowed = math.inf
        """Messages that the queue's limits let start yet."""
        self._slots = math.inf
        self._leased = 0
        self._gate: Gate | None = None
        self._limited = self._admitted = False
        self._taken = 0.0
        self._rows = 0

    def admit(self, gate: Gate | None, slots: float) -> None:
        """The queue has limits: only what starts at once, and no more than they allow."""
        self._gate = gate
        if gate is not None:
            self.plain = False
            self._allowed = gate.allows
            self._slots = slots
            self._asked = min(self._asked, slots)
            self.room = self._asked if self._allowed > 0 else 0
            self._limited, self._admitted = gate.ends_count, True

    @property
    def taken(self) -> float:
        """Slots' worth."""
        return self._taken if self._gate is not None else self._asked - self.room

    @property
    def longest(self) -> float:
        """Messages of one key that may be taken. One where there are limits: they do not run at once."""
        return self.room if self._gate is None else 1

    @property
    def kept_back(self) -> Literal["limit", "slots"] | None:
        """Why no more was taken of a queue with limits; None: they are not the reason."""
        if self._gate is None:
            return None
        if self._allowed <= 0:
            return "limit"
        return "slots" if self._slots - self._taken <= _NOTHING else None

    @property
    def opens_at(self) -> int | None:
        return None if self._gate is None else self._gate.opens_at

    @property
    def is_full(self) -> bool:
        return self._gate is not None and self._gate.is_full

    @property
    def reopens_at(self) -> int | None:
        return None if self._gate is None else self._gate.reopens_at

    def reach(self, least: int, most: int) -> int:
        """Rows to look at: as if each took a slot, until rows of batches were met, many of which share one. Rows that are looked
        at in vain are looked at again by the next claim."""
        used = self._asked - self.room
        rows = self.room * self._rows / used if self._rows and used > 0 else self.room
        return max(least, min(most, math.ceil(min(rows, self._allowed))))

    def take(self, row: Row) -> None:
        if self.plain:
            self.room -= 1
            return
        self._rows += 1
        part = 1 / self.batches.get(row[TASK], 1)
        self._allowed -= 1
        self._taken += part
        self.room -= part
        if self.room <= _NOTHING or self._allowed <= 0:
            self.room = 0

    def close(self) -> Program[None]:
        """What was taken counts."""
        if self._gate is not None:
            yield from self._gate.pass_through(self._leased)

    def is_shut(self, ask: Claim) -> bool:
        """To run dry opens no rate. But a token that comes meanwhile may be the suspect's: else a backlog would take every one."""
        return self.reopens_at is not None and (bool(ask.suspects) or self.reopens_at > self.now + _RUN_DRY)

    def divide(self, rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
        """Of a key's first messages those that may run here and now, and the expired ones before them."""
        now, longest = self.now, self.longest
        run: list[Row] = []
        ended: list[Row] = []
        for row in rows:
            over = row[EXPIRES] is not None and row[EXPIRES] <= now
            if over and not run:
                ended.append(row)
            elif over or len(run) >= longest or not self._fits(row, run):
                break
            else:
                run.append(row)
        return run, ended

    def _fits(self, row: Row, run: Sequence[Row]) -> bool:
        """A message of a batch task is a run of its own."""
        if row[TASK] not in self.tasks or row[DEATHS] >= SUSPECT_DEATHS:
            return False
        return not (self.batches and run) or (row[TASK] not in self.batches and run[-1][TASK] not in self.batches)

    def expire(self, rows: Sequence[Row]) -> Program[None]:
        if not rows:
            return
        values: list[object] = []
        for row in rows:
            values += (row[SEQ], self.queue, "expired", self.now, row[FAILURES], None, None, None)
        yield finished(values)
        self.tally.move(self.queue, "waiting", "expired", len(rows))
        self.tally.add(self.queue, "kept", len(rows))
        yield from let_go([(row[ID], row[OPTIONS]) for row in rows], self.now)

    def lease(self, runs: Sequence[Sequence[Row]]) -> Program[None]:
        seqs = [row[SEQ] for run in runs for row in run]
        yield Statement("lease", {"owner": self.owner, "claimed": self.claimed, "seqs": as_json(seqs)})
        if optioned := [(row[ID], row[OPTIONS]) for run in runs for row in run if row[OPTIONS] is not None]:
            yield from let_go(optioned, self.now, "start")
        self.note(runs)
        self.tally.move(self.queue, "waiting", "running", len(seqs))

    def note(self, runs: Sequence[Sequence[Row]]) -> None:
        """These are leased."""
        self.runs += [[self._delivery(row) for row in run] for run in runs]
        self._leased += sum(map(len, runs))

    def _delivery(self, row: Row) -> Delivery:
        seq, job_id, task, key, failures, deaths, expires, enqueued, headers, options, body, kind, _ = row
        attempt = (failures if failures < MOST_FAILURES else MOST_FAILURES) + 1
        limited, admitted = self._limited, self._admitted
        return Delivery(
            seq, job_id, self.queue, task, attempt, body, key, headers, options, enqueued, deaths, expires, kind,
            limited, admitted, self.claimed
        )  # fmt: skip


def as_json(seqs: Iterable[int]) -> str:
    return str(list(seqs))  # a list of ints prints as JSON
