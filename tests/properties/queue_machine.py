"""A dictionary against the store: any sequence of verbs, by several workers, on two handles."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from msgspec.structs import replace

from penstock.model.delivery import Delivery, Settlement
from penstock.model.outcome import Done
from penstock.ports.transaction import OpenTransaction
from penstock.testing.conformance.ground import QUEUE, TASK
from penstock.testing.conformance.worker import Worker
from tests.properties.crew import NUMBER, CrewMachine, Verb
from tests.properties.line import Entry, Line
from tests.properties.machines import agree, pick

NEW = "new task"


class QueueMachine(CrewMachine):
    queues = (QUEUE,)
    known = ((TASK,), (TASK,), (TASK, NEW))

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
            due, end = (None if seconds is None else self.ground.after(seconds) for seconds in (delay, expires))
            message = self.ground.message(self.fresh_name(), key, priority, task)
            self.run(self.ground.queue.put([replace(message, due=due, expires=end)]))
            self.mail.add(Entry(message.id, key, task, message.body, due=due, expires=end))

    put_often = put_more = put

    @precondition(lambda self: self.mail.entries)
    @rule(number=NUMBER)
    def put_again(self, number: int) -> None:
        (placed,) = self.run(self.ground.put_given(pick(self.mail.order, number).name))
        assert not placed.created, f"{placed.id} was put a second time"

    @rule(seconds=st.sampled_from([1, 3, 6]))
    def advance(self, seconds: int) -> None:
        self.ground.advance(seconds)

    @rule()
    def expire(self) -> None:
        late = self.mail.late(self.now)
        agree(self.run(self.ground.queue.expire(1_000)), len(late), "how many expired")
        for entry in late:
            entry.state = "expired"

    async def commit(self, worker: Worker, delivery: Delivery) -> None:
        """A follow-up of the same key."""
        message = self.ground.message(self.fresh_name(), delivery.key)
        tx = worker.store.transaction()
        await tx.put([message])
        await tx.commit((worker.incarnation, [Settlement(delivery, Done())]))
        self.mail.add(Entry(message.id, delivery.key, TASK, message.body))

    async def write(self, tx: OpenTransaction) -> None:
        await tx.put([self.ground.message("never committed", "a")])

    def repeatable(self) -> Verb:
        message = replace(self.ground.message(self.fresh_name(), "a"), given=True)
        self.mail.add(Entry(message.id, "a", TASK, message.body))
        return lambda store: store.queue.put([message])

    @property
    def mail(self) -> Line:
        return self.lines[QUEUE]

    def fresh_name(self) -> str:
        return f"m{len(self.mail.entries):04}"
