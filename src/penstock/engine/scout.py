"""Looks for jobs of this worker's tasks in queues that no task of it names: another release had the task there.

Only where the operator did not say which queues to take. What it finds joins the rotation, and leaves it when nothing is there
any more. A crash costs nothing: the next worker looks, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penstock.engine.service import Service
from penstock.engine.ties import Ties
from penstock.ports.leases import Leases

REST = 2.0


class Scout(Service):
    def __init__(self, leases: Leases, incarnation: int, found: Callable[[Sequence[str]], None], ties: Ties) -> None:
        """`found` is told all of them each time."""
        super().__init__("scout", ties)
        self._leases = leases
        self._incarnation = incarnation
        self._found = found

    async def tick(self) -> float:
        self._found(await self._leases.elsewhere(self._incarnation))
        return REST
