"""Progress: the latest of each job, all jobs in one write, at most one write a second."""

from __future__ import annotations

import asyncio
import math
import threading
from typing import Any

import pytest

from penstock.engine.reporter import PERIOD, Reporter
from penstock.errors import StoreUnavailable
from penstock.model.events import Trouble
from penstock.model.outcome import Done
from penstock.ports.follow import Report
from tests.unit.engine.scripted import Bench, Recorder, ScriptedFollow, Task, Watch, soon, ties

OWNER = 7


class Desk:
    """A reporter whose time is the test's."""

    def __init__(self) -> None:
        self.now = 100.0
        watch = Watch()
        self.follow: Any = ScriptedFollow(watch)
        self.reporter = Reporter(self.follow, OWNER, ties(Recorder(watch)), lambda: self.now)

    def say(self, seq: int, fraction: float, note: str = "") -> None:
        self.reporter.add(seq, fraction, note)


async def test_the_latest_of_each_in_one_write() -> None:
    desk = Desk()
    for fraction in (0.1, 0.2, 0.3):
        desk.say(1, fraction)
    desk.say(2, 1.0, "done")
    assert await desk.reporter.tick() == math.inf
    assert desk.follow.writes == [(OWNER, [Report(1, 0.3, ""), Report(2, 1.0, "done")])]


async def test_one_write_a_second() -> None:
    desk = Desk()
    desk.say(1, 0.1)
    await desk.reporter.tick()
    desk.say(1, 0.2)
    desk.now += 0.25 * PERIOD
    assert await desk.reporter.tick() == 0.75 * PERIOD
    desk.say(1, 0.3)
    desk.now += 0.75 * PERIOD
    assert await desk.reporter.tick() == math.inf
    assert [[report.fraction for report in reports] for _, reports in desk.follow.writes] == [[0.1], [0.3]]


async def test_nothing_said_writes_nothing() -> None:
    desk = Desk()
    assert await desk.reporter.tick() == math.inf
    assert desk.follow.writes == []


async def test_what_could_not_be_kept_is_tried_again_unless_something_newer_was_said() -> None:
    desk = Desk()
    desk.follow.errors.append(StoreUnavailable("gone"))
    desk.say(1, 0.1)
    desk.say(2, 0.1)
    with pytest.raises(StoreUnavailable):
        await desk.reporter.tick()
    desk.say(2, 0.2)
    desk.now += PERIOD
    await desk.reporter.tick()
    assert desk.follow.writes == [(OWNER, [Report(1, 0.1, ""), Report(2, 0.2, "")])]


@pytest.mark.parametrize("isolation", ["loop", "thread"])
async def test_a_handler_says_it_and_goes_on(isolation: str) -> None:
    def said(scope: Any, injected: object) -> bytes:
        scope.report(0.5, threading.current_thread().name)
        return b"on"

    async def said_on_the_loop(scope: Any, injected: object) -> bytes:
        return said(scope, injected)

    task = Task(said if isolation == "thread" else said_on_the_loop, bare=False, isolation=isolation)
    async with Bench(task) as bench:
        bench.store.follow.errors.append(StoreUnavailable("for a moment"))
        delivery = bench.store.put()
        assert await bench.outcome(delivery) == Done(b"on")
        await bench.watch.until(lambda: bench.store.follow.writes)
        [(owner, [report])] = bench.store.follow.writes
        assert (owner, report.seq, report.fraction) == (bench.worker.incarnation, delivery.seq, 0.5)
        assert (report.note == threading.current_thread().name) == (isolation == "loop")
        assert [trouble.where for trouble in bench.signals.of(Trouble)] == ["reporter"]


async def test_many_threads_lose_nothing_that_was_said_last() -> None:
    desk = Desk()

    def talk(seq: int) -> None:
        for step in range(200):
            desk.say(seq, step / 200)
        desk.say(seq, 1.0, "last")

    talks = [asyncio.create_task(asyncio.to_thread(talk, seq)) for seq in range(4)]
    while not all(each.done() for each in talks):
        await desk.reporter.tick()
        desk.now += PERIOD
        await asyncio.sleep(0)
    await soon(*talks)
    await desk.reporter.tick()
    last = {report.seq: report for _, reports in desk.follow.writes for report in reports}
    assert last == {seq: Report(seq, 1.0, "last") for seq in range(4)}


def test_a_thread_that_outlived_its_worker_is_not_disturbed() -> None:
    async def made() -> Desk:
        return Desk()

    desk = asyncio.run(made())
    desk.say(1, 0.5)
    assert desk.follow.writes == []
