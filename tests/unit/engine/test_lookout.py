"""Jobs that run too long are told of, once, with where they stand. The loop's time is the test's."""

from __future__ import annotations

import asyncio
import math
import threading
from typing import Any

from penstock.engine.lookout import LOOK, Lookout
from penstock.engine.running import Running
from penstock.engine.table import Table
from penstock.model.delivery import Delivery
from penstock.model.events import JobStuck
from penstock.model.message import Options
from tests.unit.engine.scripted import Bench, Recorder, Task, Watch, soon, ties


class Duty:
    """What a lookout asks of it."""

    def __init__(self, signals: Recorder, stuck_after: float) -> None:
        self.name = "host:1"
        self.options = type("Options", (), {"stuck_after": stuck_after})
        self.ties = ties(signals)


class Hill:
    def __init__(self, stuck_after: float = 300.0, **task: Any) -> None:
        self.signals = Recorder(Watch())
        route: Any = Task(lambda: None, **task)
        self.table = Table({"task": route}, asyncio.get_running_loop(), self.signals)
        duty: Any = Duty(self.signals, stuck_after)
        self.lookout = Lookout(self.table, lambda running: f"at {running.delivery.job_id}", duty)
        self.start = 0.0

    def begin(self, seq: int = 1, **facts: Any) -> Running:
        delivery = Delivery(seq, f"job-{seq}", "q", "task", 1, b"", **facts)
        running = Running([delivery], delivery)
        assert self.table.begin(running, delivery)
        self.start = running.started
        return running

    def told(self, after: float) -> list[str]:
        """Of whom, by a look so many seconds after the last one began."""
        before = len(self.signals.events)
        self.lookout.look(self.start + after)
        return [event.job_id for event in self.signals.of(JobStuck)[before:]]


async def test_half_of_its_timeout() -> None:
    hill = Hill(timeout=100.0)
    hill.begin()
    assert hill.told(49) == []
    assert hill.told(55) == ["job-1"]
    (stuck,) = hill.signals.of(JobStuck)
    assert (stuck.task, stuck.worker, round(stuck.seconds), stuck.stack) == ("task", "host:1", 55, "at job-1")


async def test_a_timeout_of_its_own() -> None:
    hill = Hill(timeout=100.0)
    hill.begin(1, options=b'{"timeout":20}')
    hill.begin(2)
    assert Options(timeout=20).timeout == 20
    assert hill.told(11) == ["job-1"]


async def test_without_a_timeout() -> None:
    hill = Hill(stuck_after=30.0)
    hill.begin()
    assert (hill.told(29), hill.told(35)) == ([], ["job-1"])
    never = Hill(stuck_after=math.inf)
    never.begin()
    assert never.told(10**9) == []


async def test_a_thread_that_was_told_to_stop_and_goes_on() -> None:
    hill = Hill(isolation="thread", timeout=10.0)
    running = hill.begin()
    hill.table._stop_overdue(running.deadline)
    assert running.reason == "timeout"
    assert (hill.told(299), hill.told(305)) == ([], ["job-1"])


async def test_each_run_is_told_of_once() -> None:
    hill = Hill(timeout=10.0)
    running = hill.begin()
    assert hill.told(6) == ["job-1"]
    assert hill.told(100) == hill.told(200) == []
    assert hill.table.end(running, running.delivery, None)  # type: ignore[arg-type]
    hill.begin()
    assert hill.told(300) == ["job-1"], "another run of it"


async def test_what_waits_for_a_process_is_not_told_of() -> None:
    hill = Hill(isolation="process", timeout=1000.0, stuck_after=300.0)
    running = hill.begin()
    left = hill.table.suspend(running)
    assert round(left) == 1000
    assert (hill.told(301), hill.told(10**6)) == ([], [])
    hill.table.resume(running, left)
    hill.start = running.started
    hill.lookout._due = 0.0
    assert (hill.told(310), hill.told(501)) == ([], ["job-1"])


async def test_what_comes_after_one_that_waited_for_a_process() -> None:
    """It was told to stop meanwhile, or no child could start."""
    hill = Hill(isolation="process", timeout=10.0)
    running = hill.begin()
    hill.table.suspend(running)
    following = Delivery(2, "job-2", "q", "task", 1, b"")
    hill.table.end(running, running.delivery, None)  # type: ignore[arg-type]
    assert hill.table.begin(running, following)
    hill.start = running.started
    assert hill.told(6) == ["job-2"]


async def test_looks_are_seconds_apart() -> None:
    hill = Hill(timeout=10.0)
    hill.begin()
    assert hill.told(4.9) == []
    assert hill.told(4.9 + LOOK - 0.1) == [], "late, but cheap"
    assert hill.told(4.9 + LOOK) == ["job-1"]


async def test_a_worker_tells_where_a_coroutine_stands() -> None:
    async def deep() -> None:
        await asyncio.Event().wait()

    async def handler() -> None:
        await deep()

    async with Bench(Task(handler), stuck_after=0.01, name="here") as bench:
        delivery = bench.store.put()
        await bench.watch.until(lambda: bench.signals.of(JobStuck))
        (stuck,) = bench.signals.of(JobStuck)
    assert (stuck.job_id, stuck.task, stuck.worker) == (delivery.job_id, "task", "here")
    assert "in handler\n" in stuck.stack and stuck.stack.index("in handler\n") < stuck.stack.index("in deep\n")


async def test_a_worker_tells_where_a_thread_stands() -> None:
    begun, go = threading.Event(), threading.Event()

    def handler() -> None:
        begun.set()
        go.wait()

    async with Bench(Task(handler, isolation="thread", asynchronous=False), stuck_after=0.01) as bench:
        bench.store.put()
        await bench.watch.until(lambda: bench.signals.of(JobStuck))
        go.set()
        (stuck,) = bench.signals.of(JobStuck)
        await soon(bench.worker.idle())
    assert "in handler\n" in stuck.stack and "go.wait()" in stuck.stack
