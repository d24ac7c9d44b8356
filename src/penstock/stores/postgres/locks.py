"""Doing something alone."""

from __future__ import annotations

from penstock.model.statement import Program, Statement


def alone(what: str) -> Program[None]:
    """From here to its end no other transaction of this schema does what is called so. The next statement sees what the last one did."""
    yield Statement("lock_name", {"what": what})
