"""Counters as deltas: gathered while a program runs, written once at its end."""

from __future__ import annotations

from collections import defaultdict
from typing import Literal, TypeAlias

from penstock.model.statement import Program, Statement

Count: TypeAlias = Literal["waiting", "delayed", "running", "dead", "done", "failed", "cancelled", "expired", "kept"]

_COUNTS: tuple[Count, ...] = ("waiting", "delayed", "running", "dead", "done", "failed", "cancelled", "expired", "kept")


class Tally:
    def __init__(self) -> None:
        self._queues: defaultdict[str, dict[Count, int]] = defaultdict(lambda: dict.fromkeys(_COUNTS, 0))

    def add(self, queue: str, count: Count, n: int = 1) -> None:
        self._queues[queue][count] += n

    def move(self, queue: str, old: Count, new: Count, n: int = 1) -> None:
        counts = self._queues[queue]
        counts[old] -= n
        counts[new] += n

    def write(self) -> Program[None]:
        values: list[object] = []
        for queue, counts in self._queues.items():
            if any(counts.values()):
                values += (queue, *counts.values())
        if values:
            yield Statement("bump", values=values, width=1 + len(_COUNTS))
