"""One queue's part of a claim: how much it may take, for whom, and what it took."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock.model.delivery import Delivery
from penstock.model.statement import Program, Row, Statement
from penstock.ports.queue import Claim
from penstock.stores.sqlite.history import finished
from penstock.stores.sqlite.tally import Tally

SEQ, ID, TASK, KEY, FAILURES, DEATHS, EXPIRES, ENQUEUED, HEADERS, OPTIONS, BODY, TYPE, RANK = range(13)
"""What a claim reads of a message. In a run of a key `PLACE` stands instead of `RANK`."""


class Share:
    def __init__(self, ask: Claim, queue: str, room: int, now: int) -> None:
        self.owner = ask.owner
        self.tasks = ask.tasks
        self.queue = queue
        self.room = room
        """What may be taken yet. Whoever takes counts it down."""
        self.now = now
        self.runs: list[Sequence[Delivery]] = []
        self.more = False
        self.tally = Tally()

    def expire(self, row: Row) -> Program[None]:
        yield finished((row[SEQ], self.queue, "expired", self.now, row[FAILURES], None, None, None))
        self.tally.move(self.queue, "waiting", "expired")
        self.tally.add(self.queue, "kept")

    def lease(self, runs: Sequence[Sequence[Row]]) -> Program[None]:
        seqs = [row[SEQ] for run in runs for row in run]
        yield Statement("lease", {"owner": self.owner, "now": self.now, "seqs": as_json(seqs)})
        self.runs += [[self._delivery(row) for row in run] for run in runs]
        self.tally.move(self.queue, "waiting", "running", len(seqs))

    def _delivery(self, row: Row) -> Delivery:
        seq, job_id, task, key, failures, deaths, expires, enqueued, headers, options, body, kind, _ = row
        return Delivery(seq, job_id, self.queue, task, failures + 1, body, key, headers, options, enqueued, deaths, expires, kind)


def as_json(seqs: Iterable[int]) -> str:
    return str(list(seqs))  # a list of ints prints as JSON
