"""What a worker of the kit is there for: to do what can be done now, or to live through some time."""

from __future__ import annotations

import math

from penstock.engine.feeder import BATCH
from penstock.engine.leader import Leader
from penstock.engine.pruner import AGE, KEEP, SLICE
from penstock.engine.scheduler import PAGE, Scheduler
from penstock.ports.store import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.process import Life, Plan


async def at_once(life: Life) -> None:
    """Time stands still. The worker's own scheduler and feeders may have been faster: so it ends with a round in which nothing ran."""
    scheduler = _scheduler(life)
    ran = -1
    while ran < life.recorder.count:
        await life.worker.idle()
        ran = life.recorder.count
        while await _fire(scheduler) or await _feed(life):
            pass
        await life.worker.idle()


def _scheduler(life: Life) -> Scheduler:
    """That of whoever leads. It leaves out what it found that it does not understand."""
    leader = Leader(life.store.leases, 0, math.inf, life.ties)
    leader.leading = True
    return Scheduler(life.store.schedules, life.store.clock, leader, life.ties)


async def _fire(scheduler: Scheduler) -> bool:
    """The slots of schedules that have come. True: there were some."""
    fired = False
    while await scheduler.tick() == 0:
        fired = True
    return fired


async def _feed(life: Life) -> bool:
    """All that was published. True: there was something."""
    fed = 0
    for subscription in life.subscriptions:
        while count := (await life.store.log.feed(subscription, BATCH)).count:
            life.ties.signals.reach("fed")
            fed += count
    return fed > 0


def until(goal: int, clock: VirtualClock) -> Plan:
    """From one instant at which something is due to the next, up to `goal` (µs)."""

    async def live(life: Life) -> None:
        await at_once(life)
        while (due := await _next(life.store, clock.now())) <= goal:
            clock.move_to(int(due))
            await at_once(life)
        clock.move_to(goal)
        await _keep_house(life.store)
        await at_once(life)

    return live


async def _next(store: Store, now: int) -> float:
    """The next instant at which something is due; `inf` if nothing is. A slot that has come and was not fired is none: its schedule
    is not understood here, and takes no place among the others."""
    strange = {due.identity for due in await store.schedules.due(PAGE)}
    dues = await store.inspect.next_due(now), (await store.schedules.look(strange)).next
    return min((due for due in dues if due is not None and due > now), default=math.inf)


async def _keep_house(store: Store) -> None:
    """What the holder of the maintenance lease does now and then, at a moment that the test knows."""
    while await store.queue.expire(SLICE) >= SLICE:
        pass
    while await store.queue.prune(SLICE, age=AGE, keep=KEEP):
        pass
    while await store.log.trim(SLICE):
        pass
