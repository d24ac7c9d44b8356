"""The running table: what runs now in this worker. Deadlines, cancellations and shutdown stop handlers through it."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Iterable, Sequence

from penstock.engine.deadlines import Deadlines
from penstock.engine.policy import UNKNOWN, Policy, policy_of, timeout_of
from penstock.engine.running import Reason, Running
from penstock.model.delivery import Delivery
from penstock.model.events import Ended, Started
from penstock.model.outcome import Ending, Outcome, Split
from penstock.ports.handler import Routes
from penstock.ports.signals import Signals

_GLANCE = 0.2
"""Seconds between two looks whether a run is still at the message that is waited for."""


class Table:
    """By seq. A delivery is in it from its first step to its outcome, and never after it was abandoned."""

    def __init__(self, routes: Routes, loop: asyncio.AbstractEventLoop, signals: Signals) -> None:
        self.closed = False
        """The worker stops: nothing begins any more."""
        self._policies = {name: policy_of(route) for name, route in routes.items()}
        self._signals = signals
        self._time = loop.time
        self._deadlines = Deadlines(loop, self._stop_overdue)
        self._rows: dict[int, Running] = {}
        self._recalled: set[int] = set()

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, seq: int) -> Running | None:
        return self._rows.get(seq)

    def all(self) -> list[Running]:
        return list(self._rows.values())

    def policy(self, task: str) -> Policy:
        return self._policies.get(task, UNKNOWN)

    def begin(self, running: Running, delivery: Delivery) -> bool:
        """False: it must not start, because the worker stops or somebody cancelled it."""
        if self.closed or (self._recalled and delivery.seq in self._recalled):
            return False
        if running.delivery is not delivery:
            running.turn_to(delivery)
        policy = self._policies.get(delivery.task, UNKNOWN)
        timeout = policy.timeout if delivery.options is None else timeout_of(policy, delivery)
        running.started = now = self._time()
        if timeout is not None:
            running.deadline = deadline = now + timeout
            if deadline < self._deadlines.next:
                self._deadlines.aim(deadline)
        running.stoppable = policy.stoppable
        self._rows[delivery.seq] = running
        if delivery.rows:
            self._rows.update(dict.fromkeys([row.seq for row in delivery.rows], running))
        if self._signals.detailed:
            for each in delivery.rows or (delivery,):
                self._signals.emit(Started(each))
        return True

    async def outlive(self, delivery: Delivery) -> bool:
        """Wait until no earlier claim of this message runs here: a crash of the store has undone that one, so it is told to stop.

        False: a later claim of it runs here, so this one was undone; or the worker stops.
        """
        while (other := self._rows.get(delivery.seq)) is not None:
            if other.claimed(delivery.seq) >= delivery.claimed:
                return False
            if other.reason is None:
                other.interrupt("lost")
            if self.closed or other.task is None:
                return False
            await asyncio.wait([other.task], timeout=_GLANCE)
        return True

    def fit(self, rows: Sequence[Delivery], now: Callable[[], int]) -> Sequence[Delivery]:
        """Those that nobody cancelled and that have not expired."""
        if not self._recalled and all(row.expires is None for row in rows):
            return rows
        instant = now()
        return [row for row in rows if row.seq not in self._recalled and (row.expires is None or row.expires > instant)]

    def suspend(self, running: Running) -> float:
        """Its timeout has not begun: it waits for a process to run in. Returns the seconds it will have."""
        left = running.deadline - self._time()
        running.deadline = math.inf
        running.waiting = True
        return left

    def resume(self, running: Running, left: float) -> None:
        running.started = now = self._time()
        running.waiting = False
        running.deadline = now + left
        if running.deadline < self._deadlines.next:
            self._deadlines.aim(running.deadline)

    def end(self, running: Running, delivery: Delivery, outcome: Ending) -> bool:
        """False: it was abandoned, and whatever it came to is nobody's business any more."""
        if self._rows.pop(delivery.seq, None) is None:
            return False
        if delivery.rows:
            for row in delivery.rows:
                self._rows.pop(row.seq, None)
        if self._signals.detailed:
            self._tell_end(delivery, outcome, self._time() - running.started)
        return True

    def _tell_end(self, delivery: Delivery, outcome: Ending, seconds: float) -> None:
        """Rows that run again have not ended."""
        ends: Iterable[Outcome | None] = outcome.ends if isinstance(outcome, Split) else itertools.repeat(outcome)
        for each, end in zip(delivery.rows or (delivery,), ends, strict=False):
            if end is not None:
                self._signals.emit(Ended(each, end, seconds))

    def recall(self, seqs: Iterable[int]) -> None:
        """Somebody cancelled them: stop what runs, and do not let begin what waits behind it in its run. A batch runs on for the rest."""
        self._recalled = set(seqs)
        for seq in self._recalled:
            running = self._rows.get(seq)
            if running is not None and self._recalled.issuperset([row.seq for row in running.delivery.rows]):
                running.interrupt("cancel")

    def interrupt_all(self, reason: Reason) -> None:
        for running in list(self._rows.values()):
            running.interrupt(reason)

    def abandon_all(self) -> list[Delivery]:
        """Stop waiting for what does not end: returns it, with what waits behind it."""
        abandoned = {id(running): running for running in self._rows.values()}.values()
        self._rows.clear()
        self._deadlines.stop()
        return [delivery for running in abandoned for delivery in running.run[running.run.index(running.delivery) :]]

    def _stop_overdue(self, now: float) -> float:
        soonest = math.inf
        for running in list(self._rows.values()):
            if running.deadline <= now:
                running.deadline = math.inf
                running.interrupt("timeout")
            soonest = min(soonest, running.deadline)
        return soonest
