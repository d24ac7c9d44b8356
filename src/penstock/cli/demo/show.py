"""One run of the demo from the first visitor to the verdict.

Visitors come until the time is over or somebody says so; then everything is worked off, one dead letter is replayed, the schedule is
paused and run once more by hand, the workers leave, and the sums are held against each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import Random

from msgspec import Struct

from penstock import connect
from penstock.cli.demo.archive import Story
from penstock.cli.demo.cast import Cast
from penstock.cli.demo.evidence import gather, letters
from penstock.cli.demo.killer import Kill, Killer, plan_kills
from penstock.cli.demo.meter import Meter, Numbers
from penstock.cli.demo.plan import Plan
from penstock.cli.demo.reconcile import Verdict, reconcile
from penstock.cli.demo.reconcile.signups import Buried
from penstock.cli.demo.roles import held
from penstock.cli.demo.sales import Sales
from penstock.cli.demo.screen import Screen
from penstock.errors import NotFound
from penstock.model.delivery import FATAL_DEATHS
from penstock.model.job import Status
from penstock.observe.signals import Signals
from penstock.ports.store import Store

REST = 0.1
PATIENCE = 90.0
"""Seconds to work off what is left."""
GRACE = 10.0
"""Seconds that visitors go on to come for a planned kill that has not found its moment."""


class Replayed(Struct, frozen=True):
    """A dead letter that was put back after its cause was gone."""

    job: str
    address: str
    status: Status


class Ending(Struct, frozen=True):
    seconds: float
    kills: tuple[Kill, ...]
    letters: tuple[Buried, ...]
    replayed: Replayed | None
    story: Story | None
    sales: Sales | None
    """The last report."""
    verdict: Verdict


class Wishes:
    """What was asked for from outside: by a key, by a signal."""

    def __init__(self) -> None:
        self.kills = 0
        self.end = asyncio.Event()

    def pressed(self, key: str) -> None:
        match key.lower():
            case "k":
                self.kills += 1
            case "q":
                self.end.set()


async def perform(plan: Plan, screen: Screen, wishes: Wishes) -> Ending:
    """Raises ChildFailed, StoreError."""
    store = connect.make_store(plan.store, durability="power", signals=Signals(), limits={})
    await store.open(migrate=True)
    try:
        async with Cast(plan) as cast:
            await cast.enter()
            return await Show(plan, store, cast, screen, wishes).run()
    finally:
        await store.close()


class Show:
    def __init__(self, plan: Plan, store: Store, cast: Cast, screen: Screen, wishes: Wishes) -> None:
        random = Random(plan.seed)
        self._plan = plan
        self._store = store
        self._cast = cast
        self._screen = screen
        self._wishes = wishes
        self._killer = Killer(store, partial(held, plan), random)
        self._planned = plan_kills(plan.kills, plan.seconds or 0.0, random)
        self._meter = Meter(plan, store, self._killer.kills)

    async def run(self) -> Ending:
        await self._until(self._is_over)
        seconds = self._meter.elapsed
        self._planned.clear()
        await self._cast.dismiss_visitors()
        replayed = await self._replay() if await self._worked_off("no more visitors; working off what is left") else None
        await self._sweep_up()
        await self._cast.dismiss_workers()
        evidence = await gather(self._plan, self._store, self._killer.kills)
        return Ending(
            seconds=seconds,
            kills=tuple(self._killer.kills),
            letters=tuple(evidence.sign_ups.letters),
            replayed=replayed,
            story=evidence.accounts.story,
            sales=evidence.reports.last,
            verdict=reconcile(evidence),
        )

    async def _until(self, over: Callable[[Numbers], bool], doing: str = "") -> None:
        """Show the numbers and kill as planned and as wished."""
        while True:
            self._cast.check()
            numbers = await self._meter.read()
            self._screen.show(numbers, doing)
            if over(numbers):
                return
            await self._kill(numbers.elapsed)
            await asyncio.sleep(REST)

    def _is_over(self, numbers: Numbers) -> bool:
        if self._wishes.end.is_set() or numbers.left is None:
            return self._wishes.end.is_set()
        return numbers.left == 0 and not (self._planned and numbers.elapsed < (self._plan.seconds or 0.0) + GRACE)

    async def _kill(self, elapsed: float) -> None:
        """What is planned waits until its victim and another worker to take over are there; a key kills whoever lives."""
        planned = self._planned[0] if self._planned else None
        if planned and elapsed >= planned.at and await self._killer.kill(spare=min(1, self._plan.workers - 1), aim=planned.aim):
            self._planned.pop(0)
        elif self._wishes.kills:
            self._wishes.kills -= 1
            await self._killer.kill(spare=0)

    async def _worked_off(self, doing: str) -> bool:
        """Nothing waits or runs any more. False: it takes too long."""
        end = self._meter.elapsed + PATIENCE
        await self._until(lambda numbers: numbers.settled or numbers.elapsed > end, doing)
        return self._meter.elapsed <= end

    async def _sweep_up(self) -> None:
        """The schedule is paused, and runs once more by hand."""
        with suppress(NotFound):  # the run was so short that no worker has brought it
            await self._store.schedules.pause("demo", "sweep", "demo")
            await self._store.schedules.run_now("demo", "sweep", "last-sweep")
        await self._worked_off("the schedule is paused, and run once more by hand")

    async def _replay(self) -> Replayed | None:
        """The mailbox of one refused address is made, and its dead letter replayed."""
        refused = next((letter for letter in await letters(self._store) if letter.deaths < FATAL_DEATHS), None)
        if refused is None:
            return None
        self._plan.mailboxes.write_text(f"{refused.address}\n")
        await self._store.queue.replay([refused.job])
        await self._worked_off(f"{refused.address} has a mailbox now: its dead letter is replayed")
        view = await self._store.inspect.job(refused.job)
        return None if view is None else Replayed(refused.job, refused.address, view.status)
