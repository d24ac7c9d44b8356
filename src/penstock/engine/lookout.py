"""Tells of jobs that run much longer than they should, once each, with where they stand.

Much longer: half of the timeout; `stuck_after` for a job that has none. What waits for a child process has not begun. A job costs
nothing for that: what runs is looked at every few seconds, and stacks are taken only of what is told.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from penstock.engine.duty import Duty
from penstock.engine.running import Running
from penstock.engine.table import Table
from penstock.model.events import JobStuck

LOOK = 5.0
"""Seconds between two looks."""


class Lookout:
    def __init__(self, table: Table, stands: Callable[[Running], str], duty: Duty) -> None:
        self._table = table
        self._stands = stands
        self._worker = duty.name
        self._patience = duty.options.stuck_after
        self._ties = duty.ties
        self._due = 0.0
        self._told: dict[int, float] = {}
        """By seq: when the run began that was told of."""

    def look(self, now: float) -> None:
        """By the loop's clock; as often as one likes."""
        if now < self._due:
            return
        self._due = now + LOOK
        running_now = [running for running in self._table.all() if not running.waiting]
        stuck = {running.delivery.seq: running for running in running_now if now - running.started >= self._limit(running)}
        for seq, running in stuck.items():
            if self._told.get(seq) != running.started:
                self._tell(running, now - running.started)
        self._told = {seq: running.started for seq, running in stuck.items()}

    def _limit(self, running: Running) -> float:
        timeout = running.deadline - running.started
        return self._patience if timeout == math.inf else timeout / 2

    def _tell(self, running: Running, seconds: float) -> None:
        delivery = running.delivery
        self._ties.emit(JobStuck(delivery.job_id, delivery.task, self._worker, seconds, self._stands(running)))
