"""From an error to an outcome. The only place where the engine decides what a failure is."""

from __future__ import annotations

import asyncio
from random import Random

from penstock.engine.policy import retry_of
from penstock.engine.running import Running
from penstock.engine.table import Table
from penstock.errors import UnknownArgument
from penstock.model.clock import Clock, micros
from penstock.model.delivery import Delivery
from penstock.model.outcome import Dead, Outcome, Released, Snoozed
from penstock.model.retry import Reject, RetryAfter, Snooze, after_error, describe

FAILURES = (Exception, asyncio.CancelledError, SystemExit)
"""What ends a handler without ending the process: `KeyboardInterrupt` passes."""

RELEASED = Released()


class Judge:
    """Cancellation is not failure: after we stopped a handler for our own reasons, whatever it raises is `Released`.

    A timeout counts, unless the handler answered it with Snooze, Reject or RetryAfter. A `CancelledError` that is not ours
    is the handler's own, and counts like any error.
    """

    def __init__(self, table: Table, clock: Clock, random: Random) -> None:
        self._table = table
        self._clock = clock
        self._random = random

    def __call__(self, delivery: Delivery, error: BaseException) -> Outcome:
        running = self._table.get(delivery.seq)
        if running is None or running.reason in ("cancel", "shutdown", "lost"):
            return RELEASED
        if running.reason == "timeout" and not isinstance(error, Snooze | Reject | RetryAfter):
            error = timed_out(running, error)
        policy = retry_of(self._table.policy(delivery.task), delivery)
        outcome = after_error(error, policy, delivery.attempt, self._clock.now(), self._random.random())
        if not isinstance(outcome, Snoozed):
            running.error = error
        return outcome

    def again(self, wait: float) -> Outcome:
        """Through no fault of its own, in `wait` seconds."""
        return Snoozed(self._clock.now() + micros(wait))

    def undecodable(self, delivery: Delivery, error: Exception) -> Outcome:
        if isinstance(error, UnknownArgument):  # of another release: retried, for a worker of that one to take
            return self(delivery, error)
        if running := self._table.get(delivery.seq):
            running.error = error
        return Dead("undecodable", describe(error))


def timed_out(running: Running, cause: BaseException) -> TimeoutError:
    error = TimeoutError(f"{running.delivery.task} ran longer than its timeout")
    error.__cause__ = cause
    return error
