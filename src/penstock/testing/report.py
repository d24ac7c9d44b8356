"""What ran, and how it ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from penstock.api.task import Task
from penstock.model.clock import Clock, to_datetime
from penstock.model.delivery import Delivery
from penstock.model.events import Ended, Event
from penstock.model.outcome import Committed, Dead, Done, Failed, Outcome, Released, Snoozed
from penstock.model.retry import Reject, RetryAfter

How: TypeAlias = Literal["done", "failed", "dead", "snoozed", "released"]
"""`failed` runs again, `dead` does not; `released` was stopped from outside (cancelled, or the worker stopped), uncounted."""


class Ran(Struct, frozen=True):
    """One attempt."""

    job_id: str
    task: str
    attempt: int
    how: How
    at: datetime
    """By the kit's clock."""
    arguments: str
    """As they were stored: JSON."""
    error: BaseException | None = None
    """What the handler raised, or why its arguments could not be decoded."""

    @property
    def unexpected(self) -> bool:
        """The handler raised something, and not to say how its job goes on."""
        return self.error is not None and not isinstance(self.error, RetryAfter | Reject)

    def __str__(self) -> str:
        arguments = self.arguments if len(self.arguments) <= 200 else f"{self.arguments[:200]}…"
        error = "" if self.error is None else f": {type(self.error).__name__}: {self.error}"
        return f"{self.task} {arguments} (job {self.job_id}, attempt {self.attempt}) {self.how}{error}"


class Report(Struct, frozen=True):
    """Every attempt that was made, in the order in which they ended."""

    runs: tuple[Ran, ...]

    @property
    def done(self) -> list[str]:
        """Ids of the jobs that are done."""
        return self._ids("done")

    @property
    def failed(self) -> list[str]:
        """One id for each attempt that failed and is made again."""
        return self._ids("failed")

    @property
    def dead(self) -> list[str]:
        """Ids of new dead letters."""
        return self._ids("dead")

    @property
    def snoozed(self) -> list[str]:
        return self._ids("snoozed")

    @property
    def errors(self) -> list[BaseException]:
        """What handlers raised, `Snooze` excepted."""
        return [run.error for run in self.runs if run.error is not None]

    def of(self, task: Task[..., Any]) -> list[Ran]:
        """The attempts of one task."""
        return [run for run in self.runs if run.task == task.name]

    def __str__(self) -> str:
        return "\n".join(map(str, self.runs)) or "nothing ran"

    def _ids(self, how: How) -> list[str]:
        return [run.job_id for run in self.runs if run.how == how]


class HandlerRaised(AssertionError):
    """A handler failed while the kit ran it. The first error is its cause, with the handler's own traceback; `report` has them all."""

    def __init__(self, report: Report) -> None:
        failures = [run for run in report.runs if run.unexpected]
        lines = "".join(f"\n  {run}" for run in failures)
        super().__init__(f"{len(failures)} of {len(report.runs)} attempts failed (raise_errors=False if the test expects that):{lines}")
        self.report = report


class Recorder:
    """Listens to the workers of a kit."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._runs: list[Ran] = []

    @property
    def count(self) -> int:
        """Attempts noted since the last report."""
        return len(self._runs)

    def note(self, event: Event) -> None:
        if isinstance(event, Ended):
            self._runs.append(self._ran(event.delivery, how(event.outcome)))

    def note_error(self, delivery: Delivery, error: BaseException) -> None:
        """An `on_error` hook: comes right after the attempt's end."""
        for index in range(len(self._runs) - 1, -1, -1):
            ran = self._runs[index]
            if ran.job_id == delivery.job_id and ran.attempt == delivery.attempt:
                self._runs[index] = replace(ran, error=error)
                return

    def take(self) -> Report:
        """All since the last time."""
        runs, self._runs = self._runs, []
        return Report(tuple(runs))

    def _ran(self, delivery: Delivery, how: How) -> Ran:
        body = delivery.body.decode("utf-8", "backslashreplace")
        return Ran(delivery.job_id, delivery.task, delivery.attempt, how, to_datetime(self._clock.now()), body)


def how(outcome: Outcome) -> How:
    match outcome:
        case Done() | Committed():
            return "done"
        case Failed():
            return "failed"
        case Dead():
            return "dead"
        case Snoozed():
            return "snoozed"
        case Released():
            return "released"
