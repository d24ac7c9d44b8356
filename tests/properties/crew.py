"""Workers on two handles, that claim, end, die, leave and come back, while each queue is compared with its model."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from penstock.errors import PublishUnknown, StoreError
from penstock.model.delivery import Delivery
from penstock.model.job import JobFilter, JobView, QueueView
from penstock.model.outcome import Dead, Done, Outcome, Released
from penstock.ports.store import Store
from penstock.ports.transaction import OpenTransaction
from penstock.testing.conformance.ground import ALL, Counts
from penstock.testing.conformance.worker import Worker
from tests.properties.line import Entry, Line
from tests.properties.machines import StoreMachine, agree, pick

WORKER = st.integers(0, 2)
LINE = st.integers(0, 3)
NUMBER = st.integers(0, 30)
END = st.sampled_from(["done", "done", "failed", "dead", "snoozed", "released", "committed"])
WAITING = frozenset({"waiting", "delayed", "retrying", "unroutable"})

Verb: TypeAlias = Callable[[Store], Coroutine[Any, Any, object]]


@dataclass
class Held:
    worker: Worker
    runs: list[list[Delivery]] = field(default_factory=list)


class CrewMachine(StoreMachine):
    queues: ClassVar[tuple[str, ...]]
    known: ClassVar[tuple[tuple[str, ...], ...]]
    """The tasks of each worker; the last one knows all that there are."""

    lines: dict[str, Line]

    async def set_up(self) -> None:
        self.other = await self.ground.open()
        self.lines = {name: Line(name) for name in self.queues}
        self.workers = [await self.hire(n) for n in range(len(self.known))]

    async def hire(self, which: int) -> Held:
        return Held(await self.ground.worker(*self.known[which], store=self.store_of(which), queues=self.queues))

    # -- verbs -------------------------------------------------------------------------------------

    @rule(which=WORKER, at=LINE, room=st.integers(1, 5), ends=st.lists(END, max_size=3))
    def claim(self, which: int, at: int, room: int, ends: list[str]) -> None:
        """And end some of what it has then: else a step in three would be none."""
        held = self.workers[which]
        if not any(run[0].suspect for run in held.runs):
            self.take(held, self.line(at, "open"), room)
        for end in ends:
            self.settle(which, 0, end, 0)

    claim_often = claim_more = claim  # a rule is as likely as it has names

    def take(self, held: Held, line: Line, room: int) -> None:
        alone = not held.runs
        claimed = self.run(held.worker.ask(room, queue=line.name, suspects=alone))
        self.take_note_of_expired()
        for run in claimed.runs:
            line.begin(run, held.worker.tasks, self.now, alone=alone)
            held.runs.append(list(run))
        got = sum(len(run) for run in claimed.runs)
        assert got <= room, f"{got} came where there was room for {room}"
        if got < room and not claimed.more and not (claimed.suspects and claimed.runs):
            agree([], line.could_run(held.worker.tasks, self.now), "what could run and was left")

    @rule(which=WORKER, number=NUMBER, end=END, wait=st.sampled_from([0, 0, 3]))
    def settle(self, which: int, number: int, end: str, wait: int) -> None:
        held = self.workers[which]
        if not held.runs:
            return
        run = pick(held.runs, number)
        outcomes: dict[str, Outcome] = {
            "done": Done(),
            "dead": Dead("rejected"),
            "failed": self.ground.failed(wait),
            "snoozed": self.ground.snoozed(wait),
            "released": Released(),
        }
        if end == "committed":
            self.run(self.commit(held.worker, run[0]))
            self.lines[run[0].queue].end(run.pop(0), Done())
        else:
            self.end_in_turn(held.worker, run, outcomes[end])
        if not run:
            held.runs.remove(run)

    settle_often = settle

    def end_in_turn(self, worker: Worker, run: list[Delivery], outcome: Outcome) -> None:
        """The rest of a run that does not go on is released with it."""
        line = self.lines[run[0].queue]
        if isinstance(outcome, Done) or (isinstance(outcome, Dead) and not line.hold):
            self.run(worker.end(run[0], outcome))
            line.end(run.pop(0), outcome)
            return
        self.run(worker.end_run(run, outcome))
        line.end(run[0], outcome)
        self.release(run[1:])
        run.clear()

    @rule(which=WORKER)
    def die(self, which: int) -> None:
        dead = self.workers[which]
        self.run(self.ground.rescue(dead.worker, by=self.workers[which - 1].worker))
        for delivery in self.lose(dead):
            agree(self.run(dead.worker.settle(delivery, Done())), [delivery.seq], "what a dead worker has lost")
        self.workers[which] = self.run(self.hire(which))

    @rule(which=WORKER)
    def leave(self, which: int) -> None:
        self.run(self.workers[which].worker.leave())
        for run in self.workers[which].runs:
            self.release(run)
        self.workers[which] = self.run(self.hire(which))

    @rule(at=LINE, room=st.integers(1, 4), put=st.booleans())
    def at_once(self, at: int, room: int, put: bool) -> None:
        """Two claim, the third one ends what it has, and somebody puts, in the same moment: whoever comes first, each comes to one."""
        line, claiming = self.line(at, "open"), [held for held in self.workers[:2] if not any(run[0].suspect for run in held.runs)]
        alone = [not held.runs for held in claiming]
        ended = self.workers[2].runs.pop(0) if self.workers[2].runs else []
        work = [held.worker.ask(room, queue=line.name, suspects=free) for held, free in zip(claiming, alone, strict=True)]
        others = [self.repeatable()(self.other)] if put else []
        claims = self.run(together(*work, self.workers[2].worker.done(ended), *others))[: len(work)]
        for delivery in ended:
            self.lines[delivery.queue].end(delivery, Done())
        self.take_note_of_expired()
        for held, free, claimed in zip(claiming, alone, claims, strict=True):
            assert sum(map(len, claimed.runs)) <= room, f"{claimed.runs} came where there was room for {room}"
            for run in claimed.runs:
                line.begin(run, held.worker.tasks, self.now, alone=free)
                held.runs.append(list(run))

    @rule(away=st.sampled_from([0, 4]))
    def reopen(self, away: int) -> None:
        """Every process ends in good order, and others come."""
        for held in self.workers:
            self.run(held.worker.leave())
            for run in held.runs:
                self.release(run)
        self.run(self.close())
        self.ground.advance(away)
        self.begin_anew()

    @rule(away=st.sampled_from([0, 4]), where=st.sampled_from(["before_commit", "after_commit", "open"]))
    def restart(self, away: int, where: str) -> None:
        """Every process dies in the middle of what it does: of a transaction that is open nothing is kept, and what was not answered is
        done again, once."""
        before, verb = self.workers, self.repeatable()
        self.run(self.die_amid(verb, where))
        self.begin_anew()
        self.run(verb(self.other))
        self.ground.advance(away)
        for held in before:
            self.run(self.ground.rescue(held.worker, by=self.workers[0].worker))
            self.lose(held)

    async def die_amid(self, verb: Verb, where: str) -> None:
        """Just before its commit, or after it and before its answer; or while a transaction is open, for which it waits on a file."""
        mortal, tx, died = self.mortal, self.other.transaction(), False

        def reach(point: str) -> None:
            nonlocal died
            if point.endswith(where) and not died:
                died = True
                mortal.crash()

        if where == "open":
            await self.write(tx)
        mortal.signals._faults = reach
        answer = asyncio.ensure_future(verb(self.ground.store))
        if where == "open":
            await asyncio.sleep(0)
            mortal.crash()
            with suppress(StoreError):
                await tx.rollback()
        with suppress(StoreError, PublishUnknown):
            await answer
        mortal.signals._faults = None
        assert died == (where != "open"), f"it did not die {where}"
        await self.close()

    async def close(self) -> None:
        for store in (self.ground.store, self.other):
            await store.close()

    def begin_anew(self) -> None:
        self.ground.store, self.other = self.run(self.ground.open()), self.run(self.ground.open())
        self.workers = [self.run(self.hire(n)) for n in range(len(self.known))]

    @rule(at=LINE, number=NUMBER)
    def cancel(self, at: int, number: int) -> None:
        line = self.line(at, "open", "running")
        if line.order:
            entry = pick(line.order, number)
            agree(self.run(self.ground.queue.cancel(entry.name)), line.cancel(entry), f"to cancel {entry.name}")

    @rule(at=LINE, numbers=st.lists(NUMBER, min_size=1, max_size=3))
    def replay(self, at: int, numbers: list[int]) -> None:
        """Dead letters, and what waits for its time."""
        line = self.line(at, "dead")
        names = named(line.of_state("dead") + line.postponed(self.now), numbers)
        if names:
            moved = self.run(self.ground.queue.replay(names))
            early, letters = line.replay(names, self.now)
            agree(sorted(moved[: len(early)]), sorted(early), "what was replayed before its time")
            agree(moved[len(early) :], letters, "the letters that were replayed")

    @rule(at=LINE, numbers=st.lists(NUMBER, min_size=1, max_size=3))
    def discard(self, at: int, numbers: list[int]) -> None:
        line = self.line(at, "dead")
        if names := named(line.of_state("dead"), numbers):
            agree(sorted(self.run(self.ground.queue.discard(names))), sorted(line.discard(names)), "what was discarded")

    # -- what must always be so --------------------------------------------------------------------

    @invariant()
    def every_queue_is_as_its_model(self) -> None:
        self.take_note_of_expired()
        jobs = self.run(self.ground.store.inspect.jobs(JobFilter(), limit=ALL)).jobs
        views = {view.name: view for view in self.run(self.ground.store.inspect.queues())}
        for name, line in self.lines.items():
            own = [job for job in jobs if job.queue == name]
            agree({job.id: state_of(job) for job in own}, line.states, f"queue {name}")
            agree(counted(views.get(name)), recounted(own), f"the counters of queue {name}")
        agree(sorted({job.queue for job in jobs} - {*self.lines}), [], "queues that nobody put anything in")

    async def finish(self) -> None:
        """Nothing is stuck: everything that is open can be brought to its end, in its order."""
        for held in self.workers:
            for run in held.runs:
                await held.worker.release(run)
                self.release(run)
        self.ground.advance(3_600)
        self.workers = [Held(await self.ground.worker(*self.known[-1], store=self.other, queues=self.queues))]
        for line in self.lines.values():
            await self.drain(line, self.workers[0].worker)
        jobs = (await self.ground.store.inspect.jobs(JobFilter(), limit=ALL)).jobs
        agree([job.id for job in jobs if job.ended is None], [], "what was left at the end")

    async def drain(self, line: Line, worker: Worker) -> None:
        while True:
            claimed = await worker.ask(100, queue=line.name, suspects=True)
            for entry in line.late(self.now):
                if await self.ground.status(entry.name) == "expired":
                    entry.state = "expired"
            for run in claimed.runs:
                line.begin(run, worker.tasks, self.now, alone=True)
            for run in claimed.runs:
                await worker.done(run)
                for delivery in run:
                    line.end(delivery, Done())
            if not claimed.runs and not claimed.more and not claimed.suspects:
                return

    # -- the model ---------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        return self.ground.now()

    def line(self, at: int, *states: str) -> Line:
        """One that has something in one of these states, if there is one."""
        lines = [self.lines[name] for name in self.queues]
        return pick([line for line in lines if {*states} & {*line.states.values()}] or lines, at)

    def store_of(self, worker: int) -> Store:
        return self.ground.store if worker % 2 else self.other

    async def commit(self, worker: Worker, delivery: Delivery) -> None:
        """Done as a handler with `tx` does, with something that follows from it."""
        raise NotImplementedError

    async def write(self, tx: OpenTransaction) -> None:
        """What nobody may ever see, since it is not committed."""
        raise NotImplementedError

    def repeatable(self) -> Verb:
        """One that brings something, once, however often it is done; the model has it."""
        raise NotImplementedError

    def release(self, run: Sequence[Delivery]) -> None:
        for delivery in run:
            self.lines[delivery.queue].end(delivery, Released())

    def lose(self, dead: Held) -> list[Delivery]:
        lost = [delivery for run in dead.runs for delivery in run]
        for delivery in lost:
            self.lines[delivery.queue].lose(delivery)
        return lost

    def take_note_of_expired(self) -> None:
        """Claims end what they meet and is too late; which ones they meet is theirs to choose."""
        for line in self.lines.values():
            for entry in line.late(self.now):
                if self.run(self.ground.status(entry.name)) == "expired":
                    entry.state = "expired"


async def together(*work: Awaitable[Any]) -> list[Any]:
    return await asyncio.gather(*work)


def named(entries: Sequence[Entry], numbers: Sequence[int]) -> list[str]:
    return [pick(entries, number).name for number in numbers] if entries else []


def state_of(job: JobView) -> str:
    return "open" if job.status in WAITING else job.status


def counted(view: QueueView | None) -> Counts:
    if view is None:
        return Counts()
    return Counts(view.waiting, view.delayed, view.running, view.dead, view.done, view.cancelled, view.expired)


def recounted(jobs: Sequence[JobView]) -> Counts:
    found = Counter(job.status for job in jobs)
    waiting, delayed = found["waiting"] + found["unroutable"], found["delayed"] + found["retrying"]
    return Counts(waiting, delayed, found["running"], found["dead"], found["done"], found["cancelled"], found["expired"])
