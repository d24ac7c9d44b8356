"""Writing the ends of deliveries, a batch in one transaction, fenced by the lease row of (owner, seq).

What is not leased to `owner` any more is not written at all: rescue gave it to another. Ends of keyed messages come in the
order of their run; the last one frees the key, a failed one holds it (see `keys`). What has options may hold a unique name, which goes
with its end, and a successor, which `Done` enqueues.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from penstock.model.chain import successor_of
from penstock.model.delivery import Delivery, Settlement
from penstock.model.message import Message, decode_options
from penstock.model.outcome import Committed, Dead, Done, Failed, Outcome, Released, Snoozed
from penstock.model.statement import Program, Statement
from penstock.stores.sql import keys, wishes
from penstock.stores.sql.dialect import Put
from penstock.stores.sql.history import finished, note, remembered
from penstock.stores.sql.letters import bury
from penstock.stores.sql.tally import Tally
from penstock.stores.sql.uniques import let_go


def settle(owner: int, settlements: Sequence[Settlement], now: int, put: Put) -> Program[list[int]]:
    seqs = [settlement.delivery.seq for settlement in settlements]
    held = {row[0] for row in (yield Statement("release", {"owner": owner, "seqs": str(seqs), "claimed": latest(settlements)}))}
    stopped = {row[0] for row in (yield Statement("cancel_requests", {"owner": owner}))}
    if stopped & held:
        yield Statement("drop_cancel_requests", {"owner": owner, "seqs": str(sorted(stopped & held))})
    ends = _Ends(owner, now)
    left = set(held)
    for settlement in settlements:
        if settlement.delivery.seq in left:
            left.remove(settlement.delivery.seq)  # of two ends of one message the first is written
            ends.add(settlement.delivery, settlement.outcome, settlement.delivery.seq in stopped)
    yield from ends.pass_over()
    yield from ends.write(put)
    return [seq for seq in seqs if seq not in held]


def latest(settlements: Sequence[Settlement]) -> int:
    """When the last one of them was claimed: a lease that was given later is none of theirs."""
    return max([each.delivery.claimed for each in settlements], default=0)


class _Ends:
    """Gathers what is to be written, and writes it in one statement a kind, however many messages there are."""

    def __init__(self, owner: int, now: int) -> None:
        self._owner = owner
        self._now = now
        self._worker = f"{owner:016x}"
        self._tally = Tally()
        self._done: defaultdict[str, int] = defaultdict(int)
        self._finished: list[object] = []
        self._notes: list[object] = []
        self._postponed: list[object] = []
        self._later: list[object] = []
        self._dead: list[tuple[Delivery, Dead, int]] = []
        self._ready: list[int] = []
        self._aside: list[int] = []
        self._keyed: set[int] = set()
        self._held: dict[tuple[str, str], int] = {}
        """Keys that wait for a retry or an operator, and for which message."""
        self._named: list[tuple[str, bytes | None]] = []
        self._next: list[Message] = []
        self._unwanted: list[tuple[Delivery, Snoozed]] = []

    def add(self, delivery: Delivery, outcome: Outcome, stopped: bool) -> None:
        if delivery.key is not None:
            self._keyed.add(delivery.seq)
        match outcome:
            case Done() | Committed():
                self._finish(delivery, "done", outcome)
            case Failed() | Released() | Snoozed() if stopped:
                self._finish(delivery, "cancelled", outcome)
            case Failed():
                self._tally.add(delivery.queue, "failed")
                self._notes += note(delivery.seq, delivery.attempt, "failed", self._now, self._worker, outcome.error)
                self._postpone(delivery, outcome.due, delivery.attempt)
            case Snoozed(unwanted=True):
                self._unwanted.append((delivery, outcome))
            case Snoozed():
                self._notes += note(delivery.seq, delivery.attempt, "snoozed", self._now, self._worker)
                self._postpone(delivery, outcome.due, delivery.attempt - 1)
            case Dead():
                self._tally.add(delivery.queue, "failed")
                self._tally.move(delivery.queue, "running", "dead")
                self._notes += note(delivery.seq, delivery.attempt, "dead", self._now, self._worker, outcome.error)
                self._dead.append((delivery, outcome, delivery.attempt))
                if delivery.options is not None:
                    self._named.append((delivery.job_id, delivery.options))
            case Released():
                self._tally.move(delivery.queue, "running", "waiting")
                (self._ready if delivery.key is None else self._aside).append(delivery.seq)

    def pass_over(self) -> Program[None]:
        """What nobody asks for is done; the rest waits for whoever does."""
        if self._unwanted:
            wanted = yield from wishes.of_others(self._owner, [delivery for delivery, _ in self._unwanted], self._now)
            for delivery, outcome in self._unwanted:
                if delivery.seq in wanted:
                    self._postpone(delivery, outcome.due, delivery.attempt - 1)
                else:
                    self._finish(delivery, "done", Done())

    def _finish(self, delivery: Delivery, how: str, outcome: Outcome) -> None:
        result, note = (outcome.result, outcome.unavailable) if isinstance(outcome, Done) else (None, None)
        self._finished += (delivery.seq, delivery.queue, how, self._now, delivery.attempt, self._owner, result, note)
        if how == "done":
            self._done[delivery.queue] += 1
        else:
            self._tally.move(delivery.queue, "running", "cancelled")
            self._tally.add(delivery.queue, "kept")
        if delivery.options is not None:
            self._named.append((delivery.job_id, delivery.options))
            if how == "done" and (successor := successor_of(decode_options(delivery.options))):
                end = outcome if isinstance(outcome, Done) else Done()
                self._next.append(successor.message(delivery.job_id, end, self._now))

    def _postpone(self, delivery: Delivery, due: int, failures: int) -> None:
        self._postponed += (delivery.seq, due, failures)
        self._later += (delivery.queue, due, delivery.seq)
        self._tally.move(delivery.queue, "running", "delayed")
        self._hold(delivery)

    def _hold(self, delivery: Delivery) -> None:
        if delivery.key is not None:
            self._keyed.discard(delivery.seq)
            self._held[delivery.queue, delivery.key] = delivery.seq

    def write(self, put: Put) -> Program[None]:
        if self._finished:
            yield finished(self._finished)
        if self._notes:
            yield remembered(self._notes)
        if self._postponed:
            yield Statement("postpone", values=self._postponed, width=3)
            yield Statement("into_later", values=self._later, width=3)
        if self._dead:
            failures = [value for delivery, _, attempts in self._dead for value in (delivery.seq, attempts)]
            yield Statement("count_failure", values=failures, width=2)
            for delivery in (yield from bury(self._dead, self._now, put)):
                self._hold(delivery)
        if self._named:
            yield from let_go(self._named, self._now)
        if self._next:
            yield from put(self._next, self._now)
        if self._ready:
            yield Statement("back_to_ready", {"seqs": str(self._ready)})
        if self._aside:
            yield Statement("put_aside", {"seqs": str(self._aside)})
        yield from self._free()
        for queue, count in self._done.items():
            self._tally.move(queue, "running", "done", count)
            self._tally.add(queue, "kept", count)
        yield from self._tally.write()

    def _free(self) -> Program[None]:
        """What waits for a retry, or died where a death holds its key, holds it first: then the end of its run frees nothing."""
        if self._held:
            yield keys.hold((*key, seq) for key, seq in self._held.items())
        if self._keyed:
            yield from keys.free(self._owner, str(list(self._keyed)))
