"""Dead letters come into being: the rows, and the jobs that tell the tasks' `on_dead` hooks, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from penstock.model.delivery import Delivery
from penstock.model.message import Message
from penstock.model.outcome import Dead
from penstock.model.statement import Program, Statement
from penstock.stores.sql.dialect import Put
from penstock.stores.sql.history import described

WIDTH = 9


def bury(dead: Sequence[tuple[Delivery, Dead, int]], now: int, put: Put) -> Program[list[Delivery]]:
    """Each with the attempts that it had. Returns those that keep their keys."""
    letters: list[object] = []
    for delivery, outcome, attempts in dead:
        letters += (delivery.seq, delivery.queue, delivery.task, outcome.reason, now, attempts, *described(outcome.error))
    yield Statement("bury", values=letters, width=WIDTH)
    yield Statement("embody", {"seqs": str([delivery.seq for delivery, _, _ in dead])})
    tasks = msgspec.json.encode(sorted({delivery.task for delivery, _, _ in dead})).decode()
    hooked = {row[0] for row in (yield Statement("hooked", {"tasks": tasks}))}
    told = [_told(delivery, now) for delivery, _, _ in dead if delivery.task in hooked]
    if told:
        yield from put(told, now)
    return (yield from _holding([delivery for delivery, _, _ in dead if delivery.key is not None]))


def _holding(keyed: Sequence[Delivery]) -> Program[list[Delivery]]:
    if not keyed:
        return []
    queues = msgspec.json.encode(sorted({delivery.queue for delivery in keyed})).decode()
    holding = {row[0] for row in (yield Statement("holding_queues", {"queues": queues}))}
    return [delivery for delivery in keyed if delivery.queue in holding]


def _told(delivery: Delivery, now: int) -> Message:
    body = msgspec.json.encode({"letter": delivery.job_id})
    return Message(f"dead.{delivery.seq}.{now}", delivery.queue, f"{delivery.task}.on_dead", body)
