"""What a test asks its kit: what waits, what died, what was published."""

from __future__ import annotations

from typing import Any, TypeVar

from penstock.api.letter import DeadLetter
from penstock.api.task import Task
from penstock.api.topic import Topic
from penstock.app import App
from penstock.testing.waiting import Enqueued, Waiting, described, listed

E = TypeVar("E")


class Looking:
    """One half of a `Kit`."""

    def __init__(self, app: App) -> None:
        self._link = app.attachment().link
        self._waiting = Waiting(app)

    async def enqueued(self, task: Task[..., Any] | None = None, /, **arguments: object) -> list[Enqueued]:
        """The jobs that wait, are delayed or wait for a retry, in the order of enqueueing; of one task, with these arguments.

        Arguments that are not named may be anything. Raises TypeError for one that the task does not take.
        """
        return await self._link.run(lambda store: self._waiting.find(store, task, arguments))

    async def assert_enqueued(self, task: Task[..., Any], /, **arguments: object) -> Enqueued:
        """The first job that waits and matches. Raises AssertionError that lists what waits instead."""
        found = await self.enqueued(task, **arguments)
        if found:
            return found[0]
        raise AssertionError(f"not enqueued: {described(task, arguments)}; what waits:{listed(await self.enqueued()) or ' nothing'}")

    async def refute_enqueued(self, task: Task[..., Any], /, **arguments: object) -> None:
        """Raises AssertionError if a job waits that matches."""
        if found := await self.enqueued(task, **arguments):
            raise AssertionError(f"enqueued, but should not be: {described(task, arguments)}:{listed(found)}")

    async def published(self, topic: Topic[E], /, *, key: str | None = None) -> list[E]:
        """The events of a topic that are kept, in the order of their commits; of one key. `topic.replay()` has their facts, too."""
        return [record.event async for record in topic.replay() if key is None or record.key == key]

    async def dead(self, task: Task[..., Any] | None = None, /) -> list[DeadLetter]:
        """The dead letters, the oldest first; of one task."""
        return await self._link.run(lambda store: self._waiting.dead(store, self._link, task))


class SyncLooking:
    """The same for tests without an event loop."""

    def __init__(self, looking: Looking) -> None:
        self._looking = looking
        self._link = looking._link

    def enqueued(self, task: Task[..., Any] | None = None, /, **arguments: object) -> list[Enqueued]:
        """As `Kit.enqueued`."""
        return self._link.call(lambda _: self._looking.enqueued(task, **arguments), "await kit.enqueued(…)")

    def assert_enqueued(self, task: Task[..., Any], /, **arguments: object) -> Enqueued:
        """As `Kit.assert_enqueued`."""
        return self._link.call(lambda _: self._looking.assert_enqueued(task, **arguments), "await kit.assert_enqueued(…)")

    def refute_enqueued(self, task: Task[..., Any], /, **arguments: object) -> None:
        """As `Kit.refute_enqueued`."""
        self._link.call(lambda _: self._looking.refute_enqueued(task, **arguments), "await kit.refute_enqueued(…)")

    def published(self, topic: Topic[E], /, *, key: str | None = None) -> list[E]:
        """As `Kit.published`."""
        return self._link.call(lambda _: self._looking.published(topic, key=key), "await kit.published(…)")

    def dead(self, task: Task[..., Any] | None = None, /) -> list[DeadLetter]:
        """As `Kit.dead`."""
        return self._link.call(lambda _: self._looking.dead(task), "await kit.dead()")
