"""A worker without an engine: it claims and settles exactly what a test tells it to."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from penstock.errors import LeaseLost
from penstock.model.delivery import Delivery, Settlement
from penstock.model.outcome import Done, Outcome, Released
from penstock.ports.queue import Claim, Claimed
from penstock.ports.store import Store


class Worker:
    def __init__(self, store: Store, incarnation: int, tasks: frozenset[str]) -> None:
        self.store = store
        self.incarnation = incarnation
        self.tasks = tasks

    async def ask(
        self,
        room: int = 10,
        *,
        queue: str = "mail",
        suspects: bool = False,
        slots: float = math.inf,
        batches: Mapping[str, int] = MappingProxyType({}),
    ) -> Claimed:
        alone = (queue,) if suspects else ()
        return await self.store.queue.claim(Claim(self.incarnation, [(queue, room)], self.tasks, alone, slots, batches))

    async def claim(self, room: int = 10, *, queue: str = "mail") -> list[Delivery]:
        claimed = await self.ask(room, queue=queue)
        return [delivery for run in claimed.runs for delivery in run]

    async def claim_one(self) -> Delivery:
        deliveries = await self.claim(1)
        assert len(deliveries) == 1, "there is nothing to claim"
        return deliveries[0]

    async def claim_suspect(self) -> Delivery:
        """What a claim has to meet first, the next one brings; this worker holds nothing."""
        claimed = await self.ask(10, suspects=True)
        if not claimed.runs and claimed.suspects:
            claimed = await self.ask(10, suspects=True)
        assert [len(run) for run in claimed.runs] == [1], "a suspect comes alone"
        return claimed.runs[0][0]

    async def settle(self, deliveries: Delivery | Sequence[Delivery], outcome: Outcome) -> list[int]:
        """Those that were not this worker's any more."""
        each = [deliveries] if isinstance(deliveries, Delivery) else deliveries
        return await self.store.queue.settle(self.incarnation, [Settlement(delivery, outcome) for delivery in each])

    async def end(self, deliveries: Delivery | Sequence[Delivery], outcome: Outcome) -> None:
        """Settle what this worker holds."""
        lost = await self.settle(deliveries, outcome)
        assert lost == [], "a worker that lives lost what it held"

    async def commit(self, deliveries: Delivery | Sequence[Delivery], outcome: Outcome) -> None:
        """As the engine ends a handler with `tx`: in a transaction of its own."""
        each = [deliveries] if isinstance(deliveries, Delivery) else deliveries
        await self.store.transaction().commit((self.incarnation, [Settlement(delivery, outcome) for delivery in each]))

    async def commits(self, deliveries: Sequence[Delivery], outcome: Outcome) -> bool:
        """False: nothing of it was kept, because one of them was not this worker's any more."""
        try:
            await self.commit(deliveries, outcome)
        except LeaseLost:
            return False
        return True

    async def done(self, deliveries: Delivery | Sequence[Delivery]) -> None:
        await self.end(deliveries, Done())

    async def release(self, deliveries: Delivery | Sequence[Delivery]) -> None:
        await self.end(deliveries, Released())

    async def end_run(self, run: Sequence[Delivery], outcome: Outcome) -> None:
        """The first of a run fails: as the engine does, release the rest with it."""
        ends = [Settlement(run[0], outcome), *(Settlement(rest, Released()) for rest in run[1:])]
        assert await self.store.queue.settle(self.incarnation, ends) == []

    async def drain(self, *, suspects: bool = True) -> list[str]:
        """Do everything that can be done now; the ids in their order."""
        names: list[str] = []
        while True:
            claimed = await self.ask(100, suspects=suspects)
            for run in claimed.runs:
                await self.done(run)
                names += ids(run)
            if not claimed.runs and not claimed.more and not (suspects and claimed.suspects):
                return names

    async def beat(self, blocked: str = "") -> bool:
        """On a thread, as the engine does."""
        return await asyncio.to_thread(self.store.leases.beat_now, self.incarnation, blocked)

    async def elsewhere(self) -> list[str]:
        return await self.store.leases.elsewhere(self.incarnation)

    async def leave(self) -> None:
        await self.store.leases.leave(self.incarnation)


def ids(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.job_id for delivery in deliveries]
