"""Feeds one subscription: moves events from the log into its queue, as much as can be run soon.

- One worker at a time holds the lease of a subscription; it feeds when the store rings, and looks every second besides. A feed is
  one transaction that moves the cursor by compare-and-set, so two feeders for a moment do no harm.
- While so many messages wait that could run, it rests; the cursor waits with it. What an open transaction holds back is looked at
  again soon.
- A crash costs nothing: what was fed is in the queue, what was not is in the log. The lease of a dead worker is free at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from penstock.engine.service import Service
from penstock.engine.ties import Ties
from penstock.model.clock import micros
from penstock.ports.leases import Leases
from penstock.ports.log import Log

BATCH = 1_000
POLL = 1.0
_FULL = 0.02
"""Seconds after which there may be room again."""
_HELD = 0.1


class Feeder(Service):
    def __init__(
        self,
        store: tuple[Log, Leases],
        subscription: str,
        incarnation: int,
        lease: float,
        ties: Ties,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`lease` in seconds."""
        super().__init__(f"feeder {subscription}", ties)
        self._log, self._leases = store
        self._subscription = subscription
        self._incarnation = incarnation
        self._lease = lease
        self._time = monotonic
        self._held_until = 0.0
        self._renew_at = 0.0

    async def tick(self) -> float:
        if not await self._holds():
            return POLL
        fed = await self._log.feed(self._subscription, BATCH)
        if fed.count:
            self.ties.signals.reach("fed")
        if fed.full:
            return _FULL
        if fed.held:
            return _HELD
        return 0 if fed.more else POLL

    async def _holds(self) -> bool:
        now = self._time()
        if now >= self._renew_at:
            won = await self._leases.lead(f"feed:{self._subscription}", self._incarnation, micros(self._lease))
            self._held_until = now + self._lease if won else 0.0
            self._renew_at = now + (self._lease / 3 if won else POLL)
        return now < self._held_until
