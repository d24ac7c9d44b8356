"""A timetable against the store: releases that come and go, keepers that see and fire, operators, and time in steps and jumps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from penstock.errors import NotFound
from penstock.model.job import JobFilter
from penstock.model.schedule import Due, ScheduleView, decide
from penstock.ports.schedules import Look
from penstock.ports.store import Store
from penstock.testing.conformance.ground import ALL
from penstock.testing.conformance.worker import Worker
from penstock_faults.plan import MINUTE, Planned
from tests.properties.machines import StoreMachine, agree, pick
from tests.properties.timetable import Definition, Kept, Name, Sight, Timetable

NUMBER = st.integers(0, 7)
KEEPER = st.integers(0, 1)
APP = st.sampled_from(["shop", "shop", "blog"])
OFTEN = (
    Definition(Planned("often", "all", every=MINUTE), b"1"),
    Definition(Planned("often", "once", every=MINUTE), b"2"),
    Definition(Planned("often", "skip", every=5 * MINUTE // 2), b"3"),
    None,
)
SELDOM = (
    Definition(Planned("seldom", "once", "Europe/Berlin", 30, 3), b"4"),
    Definition(Planned("seldom", "all", minute=15), b"5"),
    Definition(Planned("seldom", "skip", minute=15), b"6"),
    None,
)
NAMES: tuple[Name, ...] = (("shop", "often"), ("shop", "seldom"), ("blog", "often"), ("blog", "seldom"))
MOST = 6
"""Workers at once."""


class CalendarMachine(StoreMachine):
    async def set_up(self) -> None:
        self.other = await self.ground.open()
        self.model = Timetable()
        self.workers: list[Worker] = []
        self.sights: dict[int, tuple[list[Due], list[Sight]]] = {0: ([], []), 1: ([], [])}
        self.count = 0
        await self.enrol("shop", 0, 0)

    # -- releases ----------------------------------------------------------------------------------

    @rule(app=APP, often=NUMBER, seldom=NUMBER)
    def join(self, app: str, often: int, seldom: int) -> None:
        if len(self.workers) < MOST:
            self.run(self.enrol(app, often, seldom))

    async def enrol(self, app: str, often: int, seldom: int) -> None:
        definitions = [each for each in (pick(OFTEN, often), pick(SELDOM, seldom)) if each is not None]
        worker = await self.ground.worker(app=app, store=self.store_of(len(self.workers)))
        if definitions:
            await worker.store.schedules.declare(worker.incarnation, app, [each.schedule for each in definitions])
        else:
            await worker.store.schedules.review()
        self.workers.append(worker)
        self.model.join(worker.incarnation, app, definitions, self.now)

    @rule(number=NUMBER)
    def leave(self, number: int) -> None:
        if self.workers:
            worker = pick(self.workers, number)
            self.run(worker.leave())
            self.gone(worker)

    @rule(number=NUMBER)
    def die(self, number: int) -> None:
        if len(self.workers) > 1:
            worker = pick(self.workers, number)
            self.run(self.ground.rescue(worker, by=next(each for each in self.workers if each is not worker)))
            self.gone(worker)

    def gone(self, worker: Worker) -> None:
        self.workers.remove(worker)
        self.run(self.ground.store.schedules.review())
        self.model.leave(worker.incarnation, self.now)

    # -- keepers -----------------------------------------------------------------------------------

    @rule(keeper=KEEPER)
    def see(self, keeper: int) -> None:
        found, model = list(self.run(self.store_of(keeper).schedules.due(100))), self.model.due(self.now)
        agree([due.next for due in found], [sight.next for sight in model], "what is due, in its order")
        seen = {(due.app, due.schedule.name): (due.schedule, due.next, due.anchor, due.paused) for due in found}
        agree(seen, {each.name: (each.definition.schedule, *each[2:]) for each in model}, "what is due")
        place = {sight.name: sight for sight in model}
        self.sights[keeper] = found, [place[due.app, due.schedule.name] for due in found]

    @rule(keeper=KEEPER)
    def fire(self, keeper: int) -> None:
        """What it saw, which may be long ago; a second time, if it did so before."""
        found, model = self.sights[keeper]
        fired = self.run(self.store_of(keeper).schedules.fire([decide(due, self.now) for due in found]))
        agree(fired, self.model.fire(model, self.now), "what fired")

    @rule(keeper=KEEPER)
    def tick(self, keeper: int) -> None:
        self.see(keeper)
        self.fire(keeper)

    tick_often = tick

    @rule(seconds=st.sampled_from([1, 20, 60, 60, 61, 150, 601, 5_000, 24 * 3_600]))
    def advance(self, seconds: int) -> None:
        self.ground.advance(seconds)

    # -- operators ---------------------------------------------------------------------------------

    @rule(number=NUMBER)
    def pause(self, number: int) -> None:
        name = pick(NAMES, number)
        if self.asked(name, lambda: self.ground.store.schedules.pause(*name, "an operator")):
            self.model.kept[name].paused = True

    @rule(number=NUMBER)
    def resume(self, number: int) -> None:
        name = pick(NAMES, number)
        if self.asked(name, lambda: self.ground.store.schedules.resume(*name)):
            self.model.resume(name, self.now)

    @rule(number=NUMBER)
    def run_now(self, number: int) -> None:
        name, job = pick(NAMES, number), f"by-hand-{self.count}"
        self.count += 1
        if self.asked(name, lambda: self.ground.store.schedules.run_now(*name, job)):
            self.model.run_now(name, job, self.now)

    def asked(self, name: Name, verb: Callable[[], Awaitable[None]]) -> bool:
        """False: it is not known."""

        async def found() -> bool:
            try:
                await verb()
            except NotFound:
                return False
            return True

        agree(self.run(found()), name in self.model.kept, f"{name} is known")
        return name in self.model.kept

    # -- what must always be so --------------------------------------------------------------------

    @invariant()
    def schedules_are_as_their_models(self) -> None:
        views = self.run(self.ground.store.schedules.views())
        found = {(each.app, each.schedule.name): each for each in views}
        agree(found, {name: view(name, each) for name, each in self.model.kept.items()}, "schedules")
        following = min((each.next for each in self.model.kept.values() if each.live), default=None)
        look = Look(following, tuple(sorted(self.model.crew)), any=bool(self.model.kept))
        agree(self.run(self.ground.store.schedules.look()), look, "a look")

    async def finish(self) -> None:
        """Each slot that the model fired has put one job, and nothing else has."""
        jobs = (await self.ground.store.inspect.jobs(JobFilter(), limit=ALL)).jobs
        agree({job.id: job.body for job in jobs}, self.model.jobs, "jobs")

    # -- the model ---------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        return self.ground.now()

    def store_of(self, number: int) -> Store:
        return self.ground.store if number % 2 else self.other


def view(name: Name, kept: Kept) -> ScheduleView:
    removed = kept.lapsed is not None and not kept.live
    known = (name[0], kept.definition.schedule, kept.paused, kept.live, removed)
    return ScheduleView(*known, next=kept.next, slot=kept.slot, fired=kept.fired, job=kept.job)
