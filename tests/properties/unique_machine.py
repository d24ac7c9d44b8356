"""A dictionary against the store: unique names, taken, held, let go, and taken again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from penstock.model.clock import SECOND
from penstock.model.delivery import Delivery
from penstock.model.message import Placed
from penstock.model.outcome import Dead, Done, Outcome, Released
from penstock.model.unique import Until
from penstock.testing.conformance.uniques import named
from tests.properties.machines import StoreMachine, agree

NAMES = st.sampled_from(["x", "x", "y"])
UNTIL: st.SearchStrategy[Until] = st.sampled_from(["done", "start"])
WINDOW = st.sampled_from([0, 0, 20])
"""Seconds."""


@dataclass
class Entry:
    """What the model knows of a job. `state`: open, running, dead or over."""

    name: str
    until: Until
    state: str = "open"


@dataclass
class Holding:
    job: str
    ends: int
    held: bool = True


class UniqueMachine(StoreMachine):
    async def set_up(self) -> None:
        self.worker = await self.ground.worker()
        self.jobs: dict[str, Entry] = {}
        self.names: dict[str, Holding] = {}
        self.leased: dict[str, Delivery] = {}
        self.count = 0

    # -- verbs

    @rule(wanted=st.lists(st.tuples(NAMES, UNTIL, WINDOW), min_size=1, max_size=3))
    def put(self, wanted: list[tuple[str, Until, int]]) -> None:
        messages, expected = [], []
        for name, until, window in wanted:
            self.count += 1
            job = f"m{self.count:04}"
            messages.append(named(self.ground, job, name, until, window))
            expected.append(self.expect(job, name, until, window))
        agree(self.run(self.ground.queue.put(messages)), expected, "what was put")

    def expect(self, job: str, name: str, until: Until, window: int) -> Placed:
        if not self.free(name):
            return Placed(self.names[name].job, created=False)
        self.names[name] = Holding(job, self.ground.after(window))
        self.jobs[job] = Entry(name, until)
        return Placed(job)

    @rule(room=st.integers(1, 3))
    def claim(self, room: int) -> None:
        waiting = self.waiting()
        came = self.run(self.worker.claim(room))
        agree([delivery.job_id for delivery in came if delivery.job_id not in waiting], [], "what came and does not wait")
        agree(len(came), min(room, len(waiting)), "how many came")
        for delivery in came:
            self.leased[delivery.job_id] = delivery
            self.jobs[delivery.job_id].state = "running"
            if self.jobs[delivery.job_id].until == "start":
                self.let_go(delivery.job_id)

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), how=st.sampled_from(["done", "done", "dead", "dead", "failed", "snoozed", "released"]))
    def settle(self, data: st.DataObject, how: str) -> None:
        job = data.draw(st.sampled_from(sorted(self.leased)))
        outcomes: dict[str, Outcome] = {"done": Done(), "dead": Dead("rejected"), "released": Released()}
        outcome = outcomes.get(how) or (self.ground.failed() if how == "failed" else self.ground.snoozed())
        self.run(self.worker.end(self.leased.pop(job), outcome))
        self.jobs[job].state = {"done": "over", "dead": "dead"}.get(how, "open")
        if how in ("done", "dead"):
            self.let_go(job)

    @precondition(lambda self: self.waiting())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.waiting()))
        agree(self.run(self.ground.queue.cancel(job)), "cancelled", f"to cancel {job}")
        self.jobs[job].state = "over"
        self.let_go(job)

    @precondition(lambda self: self.dead())
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.dead()))
        entry = self.jobs[job]
        holding = self.names.get(entry.name)
        own = holding is not None and holding.job == job
        comes = entry.until == "start" or own or self.free(entry.name)
        agree(self.run(self.ground.queue.replay([job])), [job] if comes else [], f"a replay of {job}")
        if comes:
            entry.state = "open"
        if comes and entry.until == "done":
            self.names[entry.name] = Holding(job, holding.ends if own and holding is not None else self.ground.now())

    @precondition(lambda self: self.dead())
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.dead()))
        agree(self.run(self.ground.queue.discard([job])), [job], f"to discard {job}")
        self.jobs[job].state = "over"

    @rule(seconds=st.sampled_from([1, 19, 20]))
    def advance(self, seconds: int) -> None:
        self.ground.advance(seconds)

    @rule()
    def prune(self) -> None:
        self.run(self.ground.queue.prune(1000, age=0, keep=0))
        self.run(self.ground.queue.prune(1000, age=5 * SECOND, keep=0))

    async def finish(self) -> None:
        """What waits can be brought to its end, and then no name is held."""
        await self.worker.release(list(self.leased.values()))
        agree(sorted(await self.worker.drain()), sorted([*self.waiting(), *self.leased]), "what was left at the end")
        self.ground.advance(3_600)
        for n, name in enumerate(sorted(self.names)):
            agree(
                await self.ground.queue.put([named(self.ground, f"last {n}", name, "done", 0)]), [Placed(f"last {n}")], f"the name {name}"
            )

    # -- the model

    def free(self, name: str) -> bool:
        holding = self.names.get(name)
        return holding is None or (not holding.held and holding.ends <= self.ground.now())

    def let_go(self, job: str) -> None:
        holding = self.names.get(self.jobs[job].name)
        if holding is not None and holding.job == job:
            holding.held = False

    def waiting(self) -> list[str]:
        return sorted(job for job, entry in self.jobs.items() if entry.state == "open")

    def dead(self) -> list[str]:
        return sorted(job for job, entry in self.jobs.items() if entry.state == "dead")

    # -- what must hold

    @invariant()
    def at_most_one_at_a_time(self) -> None:
        """Whatever the model says."""
        busy = Counter(entry.name for entry in self.jobs.values() if entry.until == "done" and entry.state in ("open", "running"))
        agree({name: count for name, count in busy.items() if count > 1}, {}, "names that two have")

    @invariant()
    def holders_are_those_of_the_model(self) -> None:
        for job, entry in self.jobs.items():
            view = self.run(self.ground.store.inspect.job(job))
            if view is not None:
                holder = None if self.free(entry.name) else self.names[entry.name].job
                agree(view.unique and view.unique.holder, holder, f"who holds the name of {job}")
