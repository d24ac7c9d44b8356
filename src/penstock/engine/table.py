"""The running table: what runs now in this worker. Deadlines, cancellations and shutdown stop handlers through it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable

from penstock.engine.deadlines import Deadlines
from penstock.engine.policy import UNKNOWN, Policy, policy_of, timeout_of
from penstock.engine.running import Reason, Running
from penstock.model.delivery import Delivery
from penstock.model.events import Ended, Started
from penstock.model.outcome import Outcome
from penstock.ports.handler import Routes
from penstock.ports.signals import Signals


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
        if self._signals.detailed:
            self._signals.emit(Started(delivery))
        return True

    def suspend(self, running: Running) -> float:
        """Its timeout has not begun: it waits for a process to run in. Returns the seconds it will have."""
        left = running.deadline - self._time()
        running.deadline = math.inf
        return left

    def resume(self, running: Running, left: float) -> None:
        running.started = now = self._time()
        running.deadline = now + left
        if running.deadline < self._deadlines.next:
            self._deadlines.aim(running.deadline)

    def end(self, running: Running, delivery: Delivery, outcome: Outcome) -> bool:
        """False: it was abandoned, and whatever it came to is nobody's business any more."""
        if self._rows.pop(delivery.seq, None) is None:
            return False
        if self._signals.detailed:
            self._signals.emit(Ended(delivery, outcome, self._time() - running.started))
        return True

    def recall(self, seqs: Iterable[int]) -> None:
        """Somebody cancelled them: stop what runs, and do not let begin what waits behind it in its run."""
        self._recalled = set(seqs)
        for seq in self._recalled:
            if seq in self._rows:
                self._rows[seq].interrupt("cancel")

    def interrupt_all(self, reason: Reason) -> None:
        for running in list(self._rows.values()):
            running.interrupt(reason)

    def abandon_all(self) -> list[Delivery]:
        """Stop waiting for what does not end: returns it, with what waits behind it."""
        abandoned = list(self._rows.values())
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
