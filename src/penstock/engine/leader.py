"""One worker of a store does the housekeeping: whoever holds the lease of the role `maintenance`.

The lease is taken for `lease` seconds of the store's time and renewed every third of it. A leader that cannot renew stops being
one at once in its own eyes; that two lead for a moment must do no harm, and what a leader does is idempotent.
"""

from __future__ import annotations

from collections.abc import Callable

from penstock.engine.service import Service
from penstock.engine.ties import Ties
from penstock.model.clock import micros
from penstock.ports.leases import MAINTENANCE, Leases


class Leader(Service):
    def __init__(self, leases: Leases, incarnation: int, lease: float, ties: Ties) -> None:
        super().__init__("leader", ties)
        self.leading = False
        self._hopeful: list[Callable[[], None]] = []
        self._leases = leases
        self._incarnation = incarnation
        self._lease = lease

    def when_elected(self, callback: Callable[[], None]) -> None:
        """Call it whenever this worker begins to lead."""
        self._hopeful.append(callback)

    async def tick(self) -> float:
        led = self.leading
        try:
            self.leading = await self._leases.lead(MAINTENANCE, self._incarnation, micros(self._lease))
        except BaseException:
            self.leading = False
            raise
        if self.leading and not led:
            for callback in self._hopeful:
                callback()
        return self._lease / 3
