"""Where deliveries are carried: the running table, the threads, the child processes and the runner of one incarnation."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from penstock.engine.carriers import carriers
from penstock.engine.duty import Duty
from penstock.engine.executors.places import Places
from penstock.engine.gather import Gather
from penstock.engine.runner import Runner
from penstock.engine.settler import Settler
from penstock.engine.stages.kit import kit_of
from penstock.engine.table import Table

AHEAD = 256
"""The most that waits for a slot before it is known how long jobs are."""
GRACE = 2.0
"""Seconds that a handler has to end in, once it was told to stop."""


class Workshop:
    def __init__(self, duty: Duty, settler: Settler) -> None:
        loop = asyncio.get_running_loop()
        slots = duty.options.concurrency
        self.table = Table(duty.program.routes, loop, duty.ties.signals)
        self._places = Places(duty, self.table)
        self.stands = self._places.stands
        kit = kit_of(duty, self.table, settler)
        self.reporter = kit.reporter
        self._places.processes.told = kit.reporter.add
        who = carriers(duty.program, kit, self._places, Gather(duty.program.routes, loop))
        self.runner = Runner(who, kit, slots, min(slots, AHEAD))

    async def close(self, patience: float, hurry: asyncio.Event) -> None:
        """Begin nothing; let end what runs for `patience` seconds or until `hurry`; then stop it, and then give it up."""
        self.runner.close()
        await first_of(self.runner.idle(), hurry.wait(), timeout=patience)
        self.table.interrupt_all("shutdown")
        await self.give_up()

    async def give_up(self) -> None:
        """Wait a last moment for what was told to stop."""
        self.runner.close()
        await first_of(self.runner.idle(), timeout=GRACE)
        self.runner.abandon()
        await self._places.close()


async def first_of(*waits: Coroutine[Any, Any, object], timeout: float) -> None:
    """Until one of them has ended, or the time is over."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
