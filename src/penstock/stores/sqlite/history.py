"""The row that an ended message leaves."""

from __future__ import annotations

from penstock.model.statement import Statement

WIDTH = 8


def finished(*row: object) -> Statement:
    """seq, queue, outcome, ended, attempt, owner, result, note."""
    return Statement("finish", values=row, width=WIDTH)
