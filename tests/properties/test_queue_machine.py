"""A dictionary against the store: any sequence of verbs, by several workers, on two handles."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from msgspec.structs import replace

from penstock.model.delivery import FATAL_DEATHS, SUSPECT_DEATHS, Delivery, Settlement
from penstock.model.job import JobFilter
from penstock.model.outcome import Dead, Done, Failed, Outcome, Released, Snoozed
from penstock.testing.conformance import Ground
from penstock.testing.conformance.ground import ALL, TASK
from penstock.testing.conformance.worker import Worker
from tests.properties.machines import PATIENT, OnPostgres, OnSqlite, thorough

T = TypeVar("T")

NEW = "new task"
KNOWN = ((TASK,), (TASK,), (TASK, NEW))
"""What each of the workers knows."""


@dataclass
class Entry:
    """What the model knows of one message. `state`: open, running, done, dead, cancelled or expired."""

    name: str
    key: str | None
    task: str
    due: int | None
    expires: int | None
    state: str = "open"
    failures: int = 0
    deaths: int = 0
    holds: bool = False
    """It failed or was snoozed: its key waits for it."""
    stop: bool = False

    def is_due(self, now: int) -> bool:
        return self.due is None or self.due <= now

    def is_late(self, now: int) -> bool:
        return self.expires is not None and self.expires <= now


@dataclass
class Held:
    worker: Worker
    runs: list[list[Delivery]] = field(default_factory=list)


class QueueMachine(OnSqlite, RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.stack = ExitStack()
        self.runner = self.stack.enter_context(asyncio.Runner())
        self.backend = self.make_backend()
        self.ground = Ground(self.backend)
        self.run(self.ground.__aenter__())
        self.other = self.run(self.ground.open())
        self.entries: dict[str, Entry] = {}
        self.order: list[Entry] = []
        """In the order of their places."""
        self.workers = [Held(self.run(self.ground.worker(*known, store=self.store_of(n)))) for n, known in enumerate(KNOWN)]

    # -- verbs -------------------------------------------------------------------------------------

    @rule(
        key=st.sampled_from([None, "a", "a", "b"]),
        priority=st.integers(0, 9),
        delay=st.sampled_from([None, None, None, 5]),
        expires=st.sampled_from([None, None, None, 8]),
        task=st.sampled_from([TASK, TASK, TASK, NEW]),
        count=st.integers(1, 3),
    )
    def put(self, key: str | None, priority: int, delay: int | None, expires: int | None, task: str, count: int) -> None:
        for _ in range(count):
            name = f"m{len(self.entries):04}"
            due, end = (None if seconds is None else self.ground.after(seconds) for seconds in (delay, expires))
            message = self.ground.message(name, key, priority, task)
            self.run(self.ground.queue.put([replace(message, due=due, expires=end)]))
            self.entries[name] = Entry(name, key, task, due, end)
            self.order.append(self.entries[name])

    @precondition(lambda self: self.entries)
    @rule(data=st.data())
    def put_again(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.entries)))
        (placed,) = self.run(self.ground.put_given(name))
        assert not placed.created

    @rule(which=st.integers(0, 2), room=st.integers(1, 5))
    def claim(self, which: int, room: int) -> None:
        held = self.workers[which]
        if any(run[0].suspect for run in held.runs):
            return
        alone = not held.runs
        claimed = self.run(held.worker.ask(room, suspects=alone))
        self.take_note_of_expired()
        for run in claimed.runs:
            self.check_run(run, held.worker, alone=alone)
            held.runs.append(list(run))
        got = sum(len(run) for run in claimed.runs)
        assert got <= room
        if got < room and not claimed.more and not (claimed.suspects and claimed.runs):
            self.check_nothing_was_left(held.worker)

    @rule(
        which=st.integers(0, 2),
        end=st.sampled_from(["done", "done", "done", "dead", "failed", "snoozed", "released", "committed"]),
        wait=st.sampled_from([0, 0, 3]),
        data=st.data(),
    )
    def settle(self, which: int, end: str, wait: int, data: st.DataObject) -> None:
        held = self.workers[which]
        if not held.runs:
            return
        run = data.draw(st.sampled_from(held.runs))
        outcomes: dict[str, Outcome] = {
            "done": Done(),
            "dead": Dead("rejected"),
            "failed": self.ground.failed(wait),
            "snoozed": self.ground.snoozed(wait),
            "released": Released(),
        }
        if end == "committed":
            self.run(self.commit(held.worker, run[0]))
            self.end(run.pop(0), Done())
        else:
            self.end_in_turn(held.worker, run, outcomes[end])
        if not run:
            held.runs.remove(run)

    @rule(which=st.integers(0, 2))
    def die(self, which: int) -> None:
        dead = self.workers[which]
        self.run(self.ground.rescue(dead.worker, by=self.workers[which - 1].worker))
        for delivery in [delivery for run in dead.runs for delivery in run]:
            entry = self.entries[delivery.job_id]
            entry.deaths += 1
            if entry.stop:
                entry.state, entry.stop = "cancelled", False
            else:
                entry.state = "dead" if entry.deaths >= FATAL_DEATHS else "open"
            stale = self.run(dead.worker.settle(delivery, Done()))
            assert stale == [delivery.seq]
        self.workers[which] = Held(self.run(self.ground.worker(*KNOWN[which], store=self.store_of(which))))

    @precondition(lambda self: self.entries)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        entry = self.entries[data.draw(st.sampled_from(sorted(self.entries)))]
        answer = self.run(self.ground.queue.cancel(entry.name))
        match entry.state:
            case "open":
                assert answer == "cancelled"
                entry.state = "cancelled"
            case "running":
                assert answer == "requested"
                entry.stop = True
            case _:
                assert answer == "ended"

    @rule(seconds=st.sampled_from([1, 3, 6]))
    def advance(self, seconds: int) -> None:
        self.ground.advance(seconds)

    @rule()
    def expire(self) -> None:
        late = [entry for entry in self.order if entry.state == "open" and entry.is_late(self.ground.now())]
        assert self.run(self.ground.queue.expire(1_000)) == len(late)
        for entry in late:
            entry.state = "expired"

    @precondition(lambda self: any(entry.state == "dead" for entry in self.entries.values()))
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        dead = [entry for entry in self.order if entry.state == "dead"]
        names = data.draw(st.lists(st.sampled_from([entry.name for entry in dead]), min_size=1))
        moved = [entry for entry in dead if entry.name in names]
        assert self.run(self.ground.queue.replay(names)) == [entry.name for entry in moved]
        for entry in moved:
            self.order.remove(entry)
            self.order.append(entry)
            entry.state, entry.failures, entry.deaths, entry.due, entry.expires, entry.holds = "open", 0, 0, None, None, False

    # -- what must always be so --------------------------------------------------------------------

    @invariant()
    def store_and_model_agree(self) -> None:
        self.take_note_of_expired()
        jobs = self.run(self.ground.store.inspect.jobs(JobFilter(), limit=ALL)).jobs
        waiting = {"waiting", "delayed", "retrying", "unroutable"}
        assert {job.id: "open" if job.status in waiting else job.status for job in jobs} == {
            name: entry.state for name, entry in self.entries.items()
        }

    @invariant()
    def counters_are_right(self) -> None:
        if self.entries:
            assert self.run(self.ground.counters()) == self.run(self.ground.recount())

    def teardown(self) -> None:
        """Nothing is stuck: everything that is open can be brought to its end."""
        if not hasattr(self, "stack"):
            return
        with self.stack:
            try:
                self.drain()
            finally:
                self.run(self.ground.__aexit__(None, None, None))

    def drain(self) -> None:
        for held in self.workers:
            for run in held.runs:
                self.run(held.worker.release(run))
        self.ground.advance(3_600)
        self.run(self.drain_with_a_fresh_worker())
        left = [job.id for job in self.run(self.ground.store.inspect.jobs(JobFilter(), limit=ALL)).jobs if job.ended is None]
        assert left == []

    async def drain_with_a_fresh_worker(self) -> None:
        worker = await self.ground.worker(TASK, NEW, store=self.other)
        await worker.drain()

    # -- the model ---------------------------------------------------------------------------------

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def store_of(self, worker: int) -> Any:
        return self.ground.store if worker % 2 else self.other

    async def commit(self, worker: Worker, delivery: Delivery) -> None:
        """As a handler with `tx` does, with a follow-up of the same key."""
        tx = worker.store.transaction()
        name = f"m{len(self.entries):04}"
        await tx.put([self.ground.message(name, delivery.key)])
        await tx.commit((worker.incarnation, [Settlement(delivery, Done())]))
        self.entries[name] = Entry(name, delivery.key, TASK, None, None)
        self.order.append(self.entries[name])

    def end_in_turn(self, worker: Worker, run: list[Delivery], outcome: Outcome) -> None:
        """The rest of a run that does not go on is released with it."""
        if isinstance(outcome, Done | Dead):
            self.run(worker.end(run[0], outcome))
            self.end(run.pop(0), outcome)
            return
        self.run(worker.end_run(run, outcome))
        self.end(run[0], outcome)
        for delivery in run[1:]:
            self.end(delivery, Released())
        run.clear()

    def end(self, delivery: Delivery, outcome: Outcome) -> None:
        entry = self.entries[delivery.job_id]
        match outcome:
            case Done():
                entry.state = "done"
            case Dead():
                entry.state = "dead"
            case _ if entry.stop:
                entry.state = "cancelled"
            case Failed() | Snoozed():
                entry.state, entry.due, entry.holds = "open", outcome.due, True
                entry.failures += isinstance(outcome, Failed)
            case _:
                entry.state = "open"
        entry.stop = False

    def take_note_of_expired(self) -> None:
        """Claims end what they meet and is too late; which ones they meet is theirs to choose."""
        late = [entry for entry in self.order if entry.state == "open" and entry.is_late(self.ground.now())]
        for entry in late:
            if self.run(self.ground.status(entry.name)) == "expired":
                entry.state = "expired"

    def check_run(self, run: Sequence[Delivery], worker: Worker, *, alone: bool) -> None:
        now = self.ground.now()
        entries = [self.entries[delivery.job_id] for delivery in run]
        for delivery, entry in zip(run, entries, strict=True):
            assert (delivery.attempt, delivery.deaths) == (entry.failures + 1, entry.deaths)
            assert delivery.task in worker.tasks
            assert entry.is_due(now)
        if any(delivery.suspect for delivery in run):
            assert alone
            assert len(run) == 1
        if run[0].key is not None:
            waiting = self.waiting(run[0].key)
            assert waiting is not None, f"key {run[0].key} was not free"
            assert [entry.name for entry in entries] == [entry.name for entry in waiting[: len(run)]]
        for entry in entries:
            assert entry.state == "open"
            entry.state, entry.holds = "running", False

    def waiting(self, key: str) -> list[Entry] | None:
        """What of a key may run, in its order; None if the key is busy or waits for a retry."""
        now = self.ground.now()
        of_key = [entry for entry in self.order if entry.key == key]
        if any(entry.state == "running" or (entry.state == "open" and entry.holds and not entry.is_due(now)) for entry in of_key):
            return None
        return [entry for entry in of_key if entry.state == "open" and entry.is_due(now)]

    def check_nothing_was_left(self, worker: Worker) -> None:
        """A claim that had room to spare met everything that this worker could run."""
        firsts = [(self.waiting(key) or [])[:1] for key in ("a", "b")]
        loose = [entry for entry in self.order if entry.key is None and entry.state == "open" and entry.is_due(self.ground.now())]
        for entry in [*(entry for first in firsts for entry in first), *loose]:
            assert entry.task not in worker.tasks or entry.deaths >= SUSPECT_DEATHS, f"{entry.name} could run and was left"


QueueMachine.TestCase.settings = thorough(40)
TestQueue = QueueMachine.TestCase
pytestmark = PATIENT


def test_on_postgresql(postgres_url: str) -> None:
    class Machine(OnPostgres, QueueMachine):
        server = postgres_url

    run_state_machine_as_test(Machine, settings=thorough(15))
