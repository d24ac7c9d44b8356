"""Writing the ends of deliveries, a batch in one transaction, fenced by the lease row of (owner, seq).

What is not leased to `owner` any more is not written at all: rescue gave it to another. Ends of keyed messages come in the
order of their run; the last one frees the key, a failed one holds it (see `keys`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from penstock.model.delivery import Delivery, Settlement
from penstock.model.message import Message
from penstock.model.outcome import Committed, Dead, Done, Failed, Failure, Outcome, Released, Snoozed
from penstock.model.statement import Program, Statement
from penstock.stores.sqlite import history, keys
from penstock.stores.sqlite.put import put
from penstock.stores.sqlite.tally import Tally


def settle(owner: int, settlements: Sequence[Settlement], now: int) -> Program[list[int]]:
    seqs = [settlement.delivery.seq for settlement in settlements]
    listed = str(seqs)
    held = {row[0] for row in (yield Statement("release", {"owner": owner, "seqs": listed}))}
    stopped = {row[0] for row in (yield Statement("cancel_requests", {"owner": owner}))}
    if stopped:
        yield Statement("drop_cancel_requests", {"owner": owner, "seqs": listed})
    ends = _Ends(owner, now)
    for settlement in settlements:
        if settlement.delivery.seq in held:
            yield from ends.add(settlement.delivery, settlement.outcome, settlement.delivery.seq in stopped)
    yield from ends.write()
    return [seq for seq in seqs if seq not in held]


class _Ends:
    """Gathers what many messages have in common; what is rare is written at once."""

    def __init__(self, owner: int, now: int) -> None:
        self._owner = owner
        self._now = now
        self._worker = f"{owner:016x}"
        self._tally = Tally()
        self._finished: list[object] = []
        self._ready: list[int] = []
        self._aside: list[int] = []
        self._keyed: list[int] = []
        self._done: defaultdict[str, int] = defaultdict(int)

    def add(self, delivery: Delivery, outcome: Outcome, stopped: bool) -> Program[None]:
        if delivery.key is not None:
            self._keyed.append(delivery.seq)
        match outcome:
            case Done() | Committed():
                self._finish(delivery, "done", outcome)
            case Failed() | Released() | Snoozed() if stopped:
                self._finish(delivery, "cancelled", outcome)
            case Failed():
                yield from self._fail(delivery, outcome)
            case Snoozed():
                yield from self._note(delivery, "snoozed", None)
                yield from self._postpone(delivery, outcome.due, delivery.attempt - 1)
            case Dead():
                yield from self._bury(delivery, outcome)
            case Released():
                self._tally.move(delivery.queue, "running", "waiting")
                (self._ready if delivery.key is None else self._aside).append(delivery.seq)

    def write(self) -> Program[None]:
        if self._finished:
            yield Statement("finish", values=self._finished, width=history.WIDTH)
        if self._ready:
            yield Statement("back_to_ready", {"seqs": str(self._ready)})
        if self._aside:
            yield Statement("put_aside", {"seqs": str(self._aside)})
        if self._keyed:
            yield from keys.free(self._owner, str(self._keyed))
        for queue, count in self._done.items():
            self._tally.move(queue, "running", "done", count)
            self._tally.add(queue, "kept", count)
        yield from self._tally.write()

    def _finish(self, delivery: Delivery, how: str, outcome: Outcome) -> None:
        result, note = (outcome.result, outcome.unavailable) if isinstance(outcome, Done) else (None, None)
        self._finished += (delivery.seq, delivery.queue, how, self._now, delivery.attempt, self._owner, result, note)
        if how == "done":
            self._done[delivery.queue] += 1
        else:
            self._tally.move(delivery.queue, "running", "cancelled")
            self._tally.add(delivery.queue, "kept")

    def _fail(self, delivery: Delivery, outcome: Failed) -> Program[None]:
        self._tally.add(delivery.queue, "failed")
        yield from self._note(delivery, "failed", outcome.error)
        yield from self._postpone(delivery, outcome.due, delivery.attempt)

    def _postpone(self, delivery: Delivery, due: int, failures: int) -> Program[None]:
        seq, queue = delivery.seq, delivery.queue
        yield Statement("postpone", {"seq": seq, "due": due, "failures": failures})
        yield Statement("into_later", {"seq": seq, "queue": queue, "due": due})
        self._tally.move(queue, "running", "delayed")
        if delivery.key is not None:
            self._keyed.remove(seq)
            yield Statement("hold_key", {"queue": queue, "key": delivery.key, "seq": seq})

    def _bury(self, delivery: Delivery, outcome: Dead) -> Program[None]:
        self._tally.add(delivery.queue, "failed")
        self._tally.move(delivery.queue, "running", "dead")
        yield from self._note(delivery, "dead", outcome.error)
        yield Statement("count_failure", {"seq": delivery.seq, "failures": delivery.attempt})
        yield from bury(delivery, outcome, delivery.attempt, self._now)

    def _note(self, delivery: Delivery, what: str, error: Failure | None) -> Program[None]:
        yield from note(delivery.seq, delivery.attempt, what, self._now, self._worker, error)


def note(seq: int, number: int, what: str, at: int, worker: str | None, error: Failure | None = None) -> Program[None]:
    """One line of a job's history."""
    kind, message, trace = (error.type, error.message, error.traceback) if error else (None, None, None)
    params = {"seq": seq, "number": number, "what": what, "at": at, "owner": worker}
    yield Statement("remember", {**params, "error": kind, "message": message, "traceback": trace})


def bury(delivery: Delivery, outcome: Dead, attempts: int, now: int) -> Program[None]:
    """The dead letter, and the job that tells the task's `on_dead` hook, in one transaction."""
    error = outcome.error
    params = {"seq": delivery.seq, "queue": delivery.queue, "task": delivery.task, "reason": outcome.reason, "died": now}
    kind, message, trace = (error.type, error.message, error.traceback) if error else (None, None, None)
    yield Statement("bury", {**params, "attempts": attempts, "error": kind, "message": message, "traceback": trace})
    if (yield Statement("has_hook", {"task": delivery.task})):
        body = msgspec.json.encode({"letter": delivery.job_id})
        told = Message(f"{delivery.job_id}.dead.{now}"[-128:], delivery.queue, f"{delivery.task}.on_dead", body)
        yield from put([told], now)
