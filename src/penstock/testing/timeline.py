"""What a worker of the kit is there for: to do what can be done now, or to live through some time."""

from __future__ import annotations

from penstock.engine.feeder import BATCH
from penstock.engine.pruner import AGE, KEEP, SLICE
from penstock.ports.store import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.process import Life, Plan


async def at_once(life: Life) -> None:
    """Time stands still."""
    await life.worker.idle()
    while await _feed(life):
        await life.worker.idle()


async def _feed(life: Life) -> bool:
    """All that was published. True: there was something."""
    fed = 0
    for subscription in life.subscriptions:
        while count := (await life.store.log.feed(subscription, BATCH)).count:
            life.wire.reach("fed")
            fed += count
    return fed > 0


def until(goal: int, clock: VirtualClock) -> Plan:
    """From one instant at which something is due to the next, up to `goal` (µs)."""

    async def live(life: Life) -> None:
        await at_once(life)
        while (due := await life.store.inspect.next_due(clock.now())) is not None and due <= goal:
            clock.move_to(due)
            await at_once(life)
        clock.move_to(goal)
        await _keep_house(life.store)
        await at_once(life)

    return live


async def _keep_house(store: Store) -> None:
    """What the holder of the maintenance lease does now and then, at a moment that the test knows."""
    while await store.queue.expire(SLICE) >= SLICE:
        pass
    while await store.queue.prune(SLICE, age=AGE, keep=KEEP):
        pass
    while await store.log.trim(SLICE):
        pass
