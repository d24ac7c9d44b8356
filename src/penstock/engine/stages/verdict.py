"""From an error to an outcome. The only place where the engine decides what a failure is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random

from penstock.engine.policy import retry_of
from penstock.engine.running import Running
from penstock.engine.table import Table
from penstock.errors import UnknownArgument, Unwanted
from penstock.model.clock import SECOND, Clock, micros
from penstock.model.delivery import Delivery
from penstock.model.outcome import Dead, Done, Ending, Outcome, Released, Snoozed, Split
from penstock.model.retry import PartialFailure, Reject, RetryAfter, Snooze, after_error, describe

DONE = Done()
RELEASED = Released()
SOON, LATER = SECOND // 50, SECOND
"""Until an event is offered again to the workers of all releases, at the least and at the most. µs."""


class Judge:
    """Cancellation is not failure: after we stopped a handler for our own reasons, whatever it raises is `Released`.

    A timeout counts, unless the handler answered it with Snooze, Reject, RetryAfter or PartialFailure. A `CancelledError` that is not ours
    is the handler's own, and counts like any error.

    Of a batch each row has its own end. An error that names no row is nobody's: the rows run again one by one.
    """

    def __init__(self, table: Table, clock: Clock, random: Random) -> None:
        self._table = table
        self._clock = clock
        self._random = random

    def __call__(self, delivery: Delivery, error: BaseException) -> Ending:
        if ends_more(error):
            raise error
        running = self._table.get(delivery.seq)
        if running is None or running.reason in ("cancel", "shutdown", "lost"):
            return RELEASED
        if running.reason == "timeout" and not isinstance(error, Snooze | Reject | RetryAfter | PartialFailure):
            error = timed_out(running, error)
        if delivery.rows:
            return self._of_batch(delivery.rows, error, running)
        outcome = self._outcome(delivery, error)
        if not isinstance(outcome, Snoozed):
            running.error = error
        return outcome

    def _of_batch(self, rows: Sequence[Delivery], error: BaseException, running: Running) -> Ending:
        errors = errors_of(rows, error, running)
        if errors is None:
            running.error = error
            return Split((None,) * len(rows), alone=True)
        if not errors:
            return DONE
        ends = [self._outcome(row, errors[index]) if index in errors else DONE for index, row in enumerate(rows)]
        running.error = PartialFailure({index: each for index, each in errors.items() if not isinstance(ends[index], Snoozed)})
        return Split(tuple(ends))

    def _outcome(self, delivery: Delivery, error: BaseException) -> Outcome:
        policy = retry_of(self._table.policy(delivery.task), delivery)
        return after_error(error, policy, delivery.attempt, self._clock.now(), self._random.random())

    def again(self, wait: float) -> Outcome:
        """Through no fault of its own, in `wait` seconds."""
        return Snoozed(self._clock.now() + micros(wait))

    def undecodable(self, delivery: Delivery, error: Exception) -> Outcome:
        if isinstance(error, Unwanted):
            return Snoozed(self._again(delivery), unwanted=True)
        if running := self._table.get(delivery.seq):
            running.error = error
        if isinstance(error, UnknownArgument):  # of another release: retried, for a worker of that one to take
            return self._outcome(delivery, error)
        return Dead("undecodable", describe(error))

    def _again(self, delivery: Delivery) -> int:
        """µs. Whoever is free takes what is offered, so it may need many offers to come to who asks for it: soon while it is new."""
        now = self._clock.now()
        return now + min(max(SOON, (now - delivery.enqueued) // 2), LATER)

    def undecodable_rows(self, batch: Delivery, decode: Callable[[Delivery], object]) -> Split:
        """The ends of those that `decode` refuses; the others have none yet."""
        ends: list[Outcome | None] = [None] * len(batch.rows)
        errors: dict[int, BaseException] = {}
        for index, row in enumerate(batch.rows):
            try:
                decode(row)
            except Exception as error:
                errors[index], ends[index] = error, self.undecodable(row, error)
        if running := self._table.get(batch.seq):
            running.error = PartialFailure(errors)
        return Split(tuple(ends))


def errors_of(rows: Sequence[Delivery], error: BaseException, running: Running) -> Mapping[int, BaseException] | None:
    """Which rows of a batch failed of what, by index. None: it cannot be known, they have to be tried one by one."""
    if isinstance(error, PartialFailure) and all(index < len(rows) for index in error.errors):
        return error.errors
    everybodys = running.reason == "timeout" or isinstance(error, Snooze | Reject | RetryAfter)
    return dict.fromkeys(range(len(rows)), error) if everybodys or len(rows) == 1 else None


def timed_out(running: Running, cause: BaseException) -> TimeoutError:
    error = TimeoutError(f"{running.delivery.task} ran longer than its timeout")
    error.__cause__ = cause
    return error


def ends_more(error: BaseException) -> bool:
    """Than a handler: Ctrl-C, or a coroutine that is being closed, which no task does. Whatever else one raises is its failure, also what
    is no `Exception`: else it would run for ever."""
    if isinstance(error, GeneratorExit):
        try:
            return asyncio.current_task() is None
        except RuntimeError:
            return True
    return isinstance(error, KeyboardInterrupt)
