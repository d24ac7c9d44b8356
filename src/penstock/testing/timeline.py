"""What a worker of the kit is there for: to do what can be done now, or to live through some time."""

from __future__ import annotations

from penstock.engine.pruner import AGE, KEEP, SLICE
from penstock.engine.worker import Worker
from penstock.ports.store import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.process import Plan


async def at_once(worker: Worker, store: Store) -> None:
    """Time stands still."""
    await worker.idle()


def until(goal: int, clock: VirtualClock) -> Plan:
    """From one instant at which something is due to the next, up to `goal` (µs)."""

    async def live(worker: Worker, store: Store) -> None:
        await worker.idle()
        while (due := await store.inspect.next_due(clock.now())) is not None and due <= goal:
            clock.move_to(due)
            await worker.idle()
        clock.move_to(goal)
        await _keep_house(store)
        await worker.idle()

    return live


async def _keep_house(store: Store) -> None:
    """What the holder of the maintenance lease does now and then, at a moment that the test knows."""
    while await store.queue.expire(SLICE) >= SLICE:
        pass
    while await store.queue.prune(SLICE, age=AGE, keep=KEEP):
        pass
