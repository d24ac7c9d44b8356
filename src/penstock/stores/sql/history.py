"""What ended messages leave, and the lines of their history. Rows are gathered flat and written many at a time."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.model.outcome import Failure
from penstock.model.statement import Statement

_FINISHED = 8
_NOTED = 8


def finished(rows: Sequence[object]) -> Statement:
    """Each: seq, queue, outcome, ended, attempt, owner, result, note."""
    return Statement("finish", values=rows, width=_FINISHED)


def remembered(notes: Sequence[object]) -> Statement:
    return Statement("remember", values=notes, width=_NOTED)


def note(seq: int, number: int, what: str, at: int, worker: str | None, error: Failure | None = None) -> tuple[object, ...]:
    """One line of a job's history."""
    return (seq, number, what, at, worker, *described(error))


def described(error: Failure | None) -> tuple[str | None, str | None, str | None]:
    return (error.type, error.message, error.traceback) if error else (None, None, None)
