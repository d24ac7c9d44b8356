"""What a handler came to, on its way out of a child process and back: errors travel as texts and keep what they mean."""

from __future__ import annotations

from penstock.engine.executors.words import Raised, Returned
from penstock.errors import ChildRaised
from penstock.model.clock import seconds
from penstock.model.outcome import Done
from penstock.model.retry import Reject, Retry, RetryAfter, Snooze, describe


def raised(error: BaseException, policy: Retry) -> Raised:
    failure = describe(error)
    match error:
        case RetryAfter():
            return Raised(failure, "retry_after", seconds(error.delay))
        case Snooze():
            return Raised(failure, "snooze", seconds(error.after))
        case Reject():
            return Raised(failure, "reject")
    return Raised(failure, "gives_up" if isinstance(error, policy.give_up) else "error")


def done(answer: Returned) -> Done:
    return Done(answer.result, answer.unavailable)


def error_of(answer: Raised) -> Exception:
    failure = answer.failure
    told = ChildRaised(failure.type, failure.message, failure.traceback, gives_up=answer.kind == "gives_up")
    match answer.kind:
        case "error" | "gives_up":
            return told
        case "retry_after":
            meant: Exception = RetryAfter(answer.seconds)
        case "snooze":
            meant = Snooze(answer.seconds)
        case "reject":
            meant = Reject(failure.message)
    meant.__cause__ = told
    return meant
