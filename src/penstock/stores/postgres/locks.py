"""Doing something alone."""

from __future__ import annotations

from penstock.model.limit import Limit
from penstock.model.statement import Program, Statement
from penstock.stores.sql.limits import Gate, gate


def alone(what: str) -> Program[None]:
    """From here to its end no other transaction of this schema does what is called so. The next statement sees what the last one did."""
    yield Statement("lock_name", {"what": what})


def gate_of(queue: str, limit: Limit | None, now: int) -> Program[Gate | None]:
    """Of a queue with a limit, for who claims: one after the other, so that each counts what the one before it took."""
    if limit is not None:
        yield from alone(f"claim {queue}")
    return (yield from gate(limit, now))
