"""Workers on connections of their own: they put, claim and settle exactly what a test tells them to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

from penstock.errors import StoreError
from penstock.model.delivery import Delivery, Settlement
from penstock.model.limit import Limit
from penstock.model.message import Message, Placed
from penstock.model.outcome import Done, Failed, Failure, Outcome
from penstock.model.statement import Program
from penstock.ports.leases import Enrolment, Rescued
from penstock.ports.queue import Claim, Claimed
from penstock.stores.postgres.claim import course
from penstock.stores.postgres.course import Course, Step
from penstock.stores.postgres.look import Bounds
from penstock.stores.postgres.put import put
from penstock.stores.sql import leases
from penstock.stores.sql.settle import settle
from tests.integration.postgres.client import NOW, Client, Happens

T = TypeVar("T")
QUEUE, TASK = "q", "task"
ERROR = Failure("E", "again")


class Worker:
    def __init__(self, client: Client, owner: int = 0, tasks: Sequence[str] = (TASK,)) -> None:
        self.client, self.owner, self.tasks = client, owner, frozenset(tasks)
        self.bounds = Bounds()
        self._meanwhile: Mapping[int, Happens] = {}
        self.steps: list[Step] = []
        """Of the last claim."""

    async def enrol(self, limits: Sequence[Limit] | None = None) -> Worker:
        said = None if limits is None else tuple(limits)
        enrolment = Enrolment(self.owner, "app", f"w{self.owner}", 1, "here", (QUEUE,), tuple(self.tasks), (), limits=said)
        await self.write(leases.enrol(enrolment, NOW))
        return self

    async def write(self, program: Program[T]) -> T:
        async with self.client.transaction():
            return await self.client.run(program)

    # -- verbs -------------------------------------------------------------------------------------

    async def put(self, *messages: Message, now: int = NOW) -> list[Placed]:
        return await self.client.run(put(messages, now))

    async def write_put(self, *messages: Message, meanwhile: Mapping[int, Happens] = MappingProxyType({})) -> list[Placed]:
        """In a transaction. What happens meanwhile does so after so many of its round trips."""
        async with self.client.transaction():
            return await self.client.run(put(messages, NOW), {self.client.trips + n: each for n, each in meanwhile.items()})

    async def ask(
        self,
        room: int = 100,
        *queues: str,
        now: int = NOW,
        suspects: Sequence[str] = (),
        slots: float = math.inf,
        batches: Mapping[str, int] | None = None,
    ) -> Claimed:
        asked = [(queue, room) for queue in queues or (QUEUE,)]
        claim = Claim(self.owner, asked, self.tasks, suspects, slots, batches or {})
        return await self.drive(course(claim, self.bounds), now)

    async def ask_meanwhile(self, meanwhile: Mapping[int, Happens]) -> Claimed:
        """What happens meanwhile does so before that round trip of its connection."""
        self._meanwhile = meanwhile
        try:
            return await self.ask()
        finally:
            self._meanwhile = {}

    async def drive(self, course: Course[T], now: int) -> T:
        """A transaction a step."""
        self.steps = []
        try:
            step = next(course)
            while True:
                self.steps.append(step)
                try:
                    result = await self._do(step, now)
                except StoreError as error:
                    step = course.throw(error)
                else:
                    step = course.send(result)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    async def _do(self, step: Step, now: int) -> Any:
        if step.single:
            return await self.client.run(step.make(now), self._meanwhile)
        async with self.client.transaction():
            return await self.client.run(step.make(now), self._meanwhile)

    async def claim(self, room: int = 100, *queues: str, now: int = NOW) -> list[Delivery]:
        return [delivery for run in (await self.ask(room, *queues, now=now)).runs for delivery in run]

    async def settle(self, deliveries: Sequence[Delivery], *outcomes: Outcome, now: int = NOW) -> list[int]:
        """Those that it did not hold any more."""
        each = [Settlement(*pair) for pair in zip(deliveries, outcomes, strict=True)]
        return await self.write(settle(self.owner, each, now, put))

    async def done(self, deliveries: Sequence[Delivery]) -> None:
        assert await self.settle(deliveries, *[Done()] * len(deliveries)) == []

    async def rescue(self, dead: Worker, now: int = NOW) -> Rescued | None:
        return await self.write(leases.rescue(dead.owner, 0, now, put))

    # -- looking -----------------------------------------------------------------------------------

    async def counts(self, queue: str = QUEUE) -> dict[str, int]:
        """As they are kept, without the noughts."""
        rows = await self.client.connection.fetch("select * from penstock.count where queue = $1", queue)
        return {name: count for row in rows for name, count in row.items() if name != "queue" and count}

    async def where(self) -> dict[str, list[str]]:
        """The ids in each place, in the order of their places."""
        found: dict[str, list[str]] = {}
        for table in ("ready", "later", "aside", "suspect", "leased", "finished", "dead"):
            sql = f"select m.id from penstock.{table} t join penstock.message m on m.seq = t.seq order by m.seq"
            if ids := [row[0] for row in await self.client.connection.fetch(sql)]:
                found[table] = ids
        return found


def message(id: str, **more: Any) -> Message:
    return Message(id, more.pop("queue", QUEUE), more.pop("task", TASK), id.encode(), **more)


def ids(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.job_id for delivery in deliveries]


def failed(due: int = NOW) -> Failed:
    return Failed(due, ERROR)
