"""A worker's work without a worker: claim, carry, settle, one job after the other, all of it in the test's transaction.

The stages, the judgement of errors, the settler and the SQL are the engine's own. What is missing is what a transaction that
nobody commits cannot have: several jobs at once, threads that beat, other workers, and crashes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from penstock.engine.carriers import carriers
from penstock.engine.duty import Duty
from penstock.engine.executors.places import Places
from penstock.engine.gather import Gather
from penstock.engine.runner import Runner
from penstock.engine.settler import Settler
from penstock.engine.stages.kit import kit_of
from penstock.engine.table import Table
from penstock.engine.workshop import GRACE, first_of
from penstock.errors import ConfigurationError
from penstock.ports.queue import Claim, Claimed
from penstock.testing.borrowed.desk import Desk

_BATCH = 1_000
"""Events in a feed."""


async def work_off(duty: Duty, desk: Desk, subscriptions: Sequence[str]) -> None:
    """Until nothing is left that could run now, and nothing is left to feed."""
    errands = Errands(duty, desk, subscriptions)
    await duty.store.leases.enrol(duty.enrolment())
    try:
        await errands.run()
    finally:
        await duty.store.leases.leave(duty.incarnation)


def incarnation() -> int:
    return int.from_bytes(os.urandom(8), "big") >> 1


class Errands:
    def __init__(self, duty: Duty, desk: Desk, subscriptions: Sequence[str]) -> None:
        self._table = table = Table(duty.program.routes, asyncio.get_running_loop(), duty.ties.signals)
        self._settler = Settler(duty.store.queue, duty.incarnation, duty.ties)
        self._routes = duty.program.routes
        self._places = Places(duty, table)
        self._places.threads = desk.threads(1)
        self._desk = desk
        kit = kit_of(duty, table, self._settler)
        who = carriers(duty.program, kit, self._places, Gather(duty.program.routes, asyncio.get_running_loop()))
        self._runner = Runner(who, kit, 1, 0)
        self._queue, self._log = duty.store.queue, duty.store.log
        self._subscriptions = subscriptions
        self._ask = Claim(duty.incarnation, [(queue, 1) for queue, _ in duty.queues], frozenset(duty.program.routes))

    async def run(self) -> None:
        self._settler.start()
        try:
            while await self._feed() + await self._work():
                pass
        except asyncio.CancelledError:
            await self._give_up()
            raise
        finally:
            await self._settler.stop()
            await self._places.close()

    async def _give_up(self) -> None:
        """As a worker that is stopped; only that no `def` handler is left behind on the test's own thread."""
        self._runner.close()
        self._table.interrupt_all("shutdown")
        await self._desk.free()
        await first_of(self._runner.idle(), timeout=GRACE)
        self._runner.abandon()
        await first_of(self._settler.flush(), timeout=GRACE)

    async def _feed(self) -> int:
        """How much was published, and is now to be done."""
        return sum([(await self._log.feed(subscription, _BATCH)).count for subscription in self._subscriptions])

    async def _work(self) -> int:
        """What was claimed, and what is worth another look."""
        claimed = await self._queue.claim(self._ask)
        self._refuse_apart(claimed)
        self._runner.offer(claimed.runs)
        await self._runner.idle()
        await self._settler.flush()
        return len(claimed.runs) + claimed.more

    def _refuse_apart(self, claimed: Claimed) -> None:
        """A child process has a connection of its own, and would wait for the lock that the test holds."""
        for run in claimed.runs:
            route = self._routes[run[0].task]
            if route.isolation == "process":
                raise ConfigurationError(
                    f"drain(tx=…): task {route.name} has isolation='process', and no child process can join a transaction: test it with a "
                    "drain without tx, or call its function"
                )
