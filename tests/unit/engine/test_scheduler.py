"""One worker fires what is due; it looks cheaply, and one bad schedule stops nobody."""

from __future__ import annotations

from typing import Any, cast

import pytest
from msgspec.structs import replace

from penstock.engine.leader import Leader
from penstock.engine.scheduler import ENOUGH, PAGE, REST, Scheduler
from penstock.errors import StoreUnavailable
from penstock.model.clock import SECOND
from penstock.model.events import Trouble
from penstock.model.schedule import Due, Schedule, Template, Timing
from tests.unit.engine.scripted import NOW, Bench, Recorder, Task, ties
from tests.unit.engine.scripted_schedules import ScriptedSchedules


def due(name: str = "tick", timing: Timing | None = None, at: int = NOW) -> Due:
    schedule = Schedule(name, timing or Timing(every=60 * SECOND), "once", Template("task", "q", b""))
    return Due("shop", schedule, "digest", at, at, paused=False)


async def nothing() -> None: ...


def bench(**options: Any) -> Bench:
    return Bench(Task(nothing), **options)


async def test_the_leader_fires_what_is_due() -> None:
    made = bench()
    made.store.schedules.dues = [due("one"), due("two")]
    async with made:
        await made.watch.until(lambda: made.store.schedules.fired)
    assert [firing.due.schedule.name for firing in made.store.schedules.fired] == ["one", "two"]
    assert [firing.next for firing in made.store.schedules.fired] == [NOW + 60 * SECOND] * 2


async def test_what_is_not_due_does_not_fire() -> None:
    service, schedules, _ = scheduler()
    schedules.dues = [due(at=NOW + 1)]
    await service.tick()
    assert schedules.fired == []


async def test_who_does_not_lead_does_not_look() -> None:
    made = bench()
    made.store.leases.leads = lambda: False
    made.store.schedules.dues = [due()]
    async with made:
        await made.run()
    assert (made.store.schedules.looks, made.store.schedules.fired) == (0, [])


def scheduler() -> tuple[Scheduler, ScriptedSchedules, Leader]:
    service, schedules, _, leader = told_scheduler()
    return service, schedules, leader


def told_scheduler() -> tuple[Scheduler, ScriptedSchedules, Recorder, Leader]:
    """Of a worker that leads; ticked by hand."""
    made = bench()
    leases: Any = made.store.leases
    leader = Leader(leases, 1, 15, ties(made.signals))
    leader.leading = True
    schedules = made.store.schedules
    return Scheduler(cast(Any, schedules), made.store.clock, leader, ties(made.signals)), schedules, made.signals, leader


async def test_it_sleeps_until_the_next_slot_but_looks_each_second() -> None:
    service, schedules, _ = scheduler()
    assert await service.tick() == REST
    schedules.dues = [due(at=NOW + SECOND // 4)]
    assert await service.tick() == 0.25
    schedules.dues = [due(at=NOW + 3600 * SECOND)]
    assert await service.tick() == REST


async def test_definitions_are_reviewed_once_for_each_crew() -> None:
    service, schedules, leader = scheduler()
    for crew in ((1,), (1,), (1, 2), (1, 2), (2,)):
        schedules.crew = crew
        await service.tick()
    assert schedules.reviews == [(1,), (1, 2), (2,)]
    leader.leading = False
    await service.tick()
    leader.leading = True
    await service.tick()
    assert schedules.reviews[3:] == [(2,)], "who led meanwhile may have seen other workers"


async def test_a_store_without_schedules_is_looked_at_once_a_second() -> None:
    service, schedules, _ = scheduler()
    schedules.any = False
    assert (await service.tick(), schedules.looks, schedules.reviews) == (REST, 1, [])


async def test_one_that_cannot_be_understood_stops_no_other() -> None:
    made = bench()
    made.store.schedules.dues = [due("bad", Timing(cron="* * * * *", tz="Mars/Olympus")), due("good")]
    async with made:
        await made.watch.until(lambda: made.signals.of(Trouble))
        await made.watch.until(lambda: made.store.schedules.fired)
    assert [firing.due.schedule.name for firing in made.store.schedules.fired] == ["good"]
    assert "Mars/Olympus" in str(made.signals.of(Trouble)[0].error)


def foreign(count: int) -> list[Due]:
    """In a zone that this machine does not know, longer due than all others."""
    return [due(f"bad{n}", Timing(cron="* * * * *", tz="Mars/Olympus"), at=NOW - SECOND) for n in range(count)]


async def test_a_page_that_cannot_be_understood_starves_nobody() -> None:
    service, schedules, signals, _ = told_scheduler()
    schedules.dues = [*foreign(2 * PAGE), due("good")]
    assert [await service.tick() for _ in range(4)] == [0, 0, 0, REST]
    assert [firing.due.schedule.name for firing in schedules.fired] == ["good"]
    assert len(signals.of(Trouble)) == 2 * PAGE


async def test_one_that_cannot_be_understood_is_told_once_and_delays_nobody() -> None:
    service, schedules, signals, _ = told_scheduler()
    schedules.dues = foreign(1)
    assert await service.tick() == 0
    schedules.dues.append(due(at=NOW + SECOND // 4))
    assert [await service.tick(), await service.tick()] == [0.25, 0.25]
    assert [trouble.where for trouble in signals.of(Trouble)] == ["schedule bad0 of shop"]


async def test_who_leads_again_tries_again() -> None:
    """The machine may have been given its zones meanwhile; and another definition of it is another one at once."""
    service, schedules, signals, leader = told_scheduler()
    schedules.dues = foreign(1)
    await service.tick()
    leader.leading = False
    await service.tick()
    leader.leading = True
    assert (await service.tick(), await service.tick()) == (0, REST)
    assert len(signals.of(Trouble)) == 2
    schedules.dues = [replace(schedules.dues[0], schedule=due("bad0").schedule, digest="newer")]
    await service.tick()
    assert [firing.due.digest for firing in schedules.fired] == ["newer"]


async def test_an_error_of_the_store_is_tried_again() -> None:
    made = bench()
    made.store.schedules.dues = [due()]
    made.store.schedules.fire_errors.append(StoreUnavailable("busy"))
    async with made:
        await made.watch.until(lambda: made.store.schedules.fired)
    assert [str(trouble.error) for trouble in made.signals.of(Trouble)] == ["busy"]


async def test_a_worker_declares_what_its_program_has() -> None:
    schedule = due().schedule
    made = bench(schedules=(schedule,), app="shop")
    async with made:
        assert made.store.schedules.declared == [(made.worker.incarnation, "shop", (schedule,))]


async def test_a_worker_without_schedules_declares_nothing() -> None:
    async with bench() as made:
        assert made.store.schedules.declared == []


async def test_a_declaration_that_fails_leaves_nobody_enrolled() -> None:
    made = bench(schedules=(due().schedule,))
    made.store.schedules.declare_errors.append(StoreUnavailable("busy"))
    with pytest.raises(StoreUnavailable):
        await made.worker.start()
    assert [worker.incarnation for worker in made.store.leases.enrolled] == made.store.leases.left


async def test_a_transaction_takes_some_jobs_and_leaves_the_rest_due() -> None:
    service, schedules, _ = scheduler()
    busy = Schedule("busy", Timing(every=SECOND), "all", Template("task", "q", b""))
    begun = NOW - 100 * SECOND
    schedules.dues = [Due("shop", busy, f"{n}", begun, begun, paused=False) for n in range(ENOUGH // 100 + 5)]
    assert [await service.tick() for _ in range(3)] == [0, 0, REST]
    assert [sum(len(firing.messages) for firing in part) for part in schedules.parts] == [ENOUGH, 500]
