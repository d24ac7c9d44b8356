"""What happens after an error: a pure function of the error, the policy, the attempt and a random number."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass

from penstock.errors import ChildRaised
from penstock.model.clock import LONGEST, SECOND, Duration, seconds
from penstock.model.outcome import Dead, Failed, Failure, Outcome, Snoozed

TRACEBACK_LIMIT = 16_384
"""Characters of a traceback that are kept: its end, where the error is."""


class RetryAfter(Exception):
    """Raise it to be tried again after `delay` seconds (e.g. HTTP 429). Counts as an attempt."""

    def __init__(self, delay: Duration) -> None:
        super().__init__(f"retry after {seconds(delay):g} s")
        self.delay = delay


class Snooze(Exception):
    """Raise it to be run again after `after` seconds. Does not count as an attempt."""

    def __init__(self, after: Duration) -> None:
        super().__init__(f"snoozed for {seconds(after):g} s")
        self.after = after


class Reject(Exception):
    """Raise it to end in the dead letters at once."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PartialFailure(Exception):
    """Raise it in a batch task to say which rows failed: `{index: error}`. Each of them ends as if it had raised that error alone,
    Snooze, RetryAfter and Reject included; all others are done. Nothing in it: all are done.

        raise PartialFailure({3: ValueError("no such product")})
    """

    def __init__(self, errors: Mapping[int, BaseException]) -> None:
        for index, error in errors.items():
            checked: tuple[object, object] = (index, error)
            if not isinstance(checked[0], int) or index < 0 or not isinstance(checked[1], BaseException):
                raise TypeError(f"PartialFailure takes errors by the index of their row, not {index!r}: {error!r}")
        super().__init__(f"{len(errors)} rows failed: " + "; ".join(f"{index}: {error!r}" for index, error in list(errors.items())[:5]))
        self.errors = dict(errors)


@dataclass(frozen=True)
class Retry:
    """How often and when a failed job runs again.

    The wait before attempt n + 1 is random between 0 and `min(limit, first * factor ** (n - 1))` seconds ("full jitter").
    An error of a type in `give_up` goes to the dead letters at once. `attempts` counts all runs, the first included.
    """

    attempts: int = 10
    first: Duration = 1.0
    factor: float = 2.0
    limit: Duration = 3600
    give_up: tuple[type[Exception], ...] = ()

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"Retry(attempts={self.attempts}): a job runs at least once")
        if seconds(self.first) < 0 or seconds(self.limit) < 0 or self.factor < 1:
            raise ValueError("Retry: first and limit are at least 0 seconds, factor is at least 1")
        given: object = self.give_up
        if not isinstance(given, tuple) or not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in given):
            raise ValueError("Retry(give_up=…) takes a tuple of exception types, e.g. give_up=(ValueError,)")

    def wait(self, attempt: int, chance: float) -> float:
        """Seconds to wait after attempt number `attempt` failed; `chance` is a random number in [0, 1)."""
        exponent = min(attempt - 1, 1000)
        try:
            ceiling = min(seconds(self.limit), seconds(self.first) * self.factor**exponent)
        except OverflowError:
            ceiling = seconds(self.limit)
        return min(ceiling, LONGEST / SECOND) * chance


def after_error(error: BaseException, policy: Retry, attempt: int, now: int, chance: float) -> Outcome:
    """What becomes of a delivery whose handler raised `error` in attempt number `attempt` (from 1)."""
    match error:
        case Snooze():
            return Snoozed(now + round(seconds(error.after) * SECOND))
        case Reject():
            return Dead(writable(str(error.reason)), describe(error))
    if gives_up(error, policy):
        return Dead(f"gave up on {error.type if isinstance(error, ChildRaised) else type(error).__name__}", describe(error))
    if attempt >= policy.attempts:
        return Dead(f"failed {attempt} times", describe(error))
    wait = seconds(error.delay) if isinstance(error, RetryAfter) else policy.wait(attempt, chance)
    return Failed(now + round(wait * SECOND), describe(error))


def gives_up(error: BaseException, policy: Retry) -> bool:
    return isinstance(error, policy.give_up) or (isinstance(error, ChildRaised) and error.gives_up)


def describe(error: BaseException) -> Failure:
    """Never raises, and every text can be written as UTF-8: an error's own text may do or be neither.

    An error that a child process told of is described as it was there.
    """
    told = error.__cause__ if isinstance(error, RetryAfter | Snooze | Reject) else error
    if isinstance(told, ChildRaised):
        return Failure(told.type, told.message, told.traceback)
    text = "".join(traceback.format_exception(error))
    try:
        message = str(error)
    except Exception as trouble:
        message = f"(its text cannot be had: {type(trouble).__name__})"
    return Failure(type(error).__qualname__, writable(message[:2000]), writable(text[-TRACEBACK_LIMIT:]))


def writable(text: str) -> str:
    """Lone surrogates (undecodable file names have them) are spelled out, and NUL, which PostgreSQL does not keep in a text."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
