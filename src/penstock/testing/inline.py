"""A store in which what was enqueued has run when `enqueue` returns: through the file, the codec and a worker, like any other time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from penstock.model.delivery import Settlement
from penstock.model.log import Append, Event, TopicSpec
from penstock.model.message import Message, Placed
from penstock.stores.sqlite.handle import Handle
from penstock.stores.sqlite.log import SqliteLog
from penstock.stores.sqlite.queue import SqliteQueue
from penstock.stores.sqlite.store import SqliteStore
from penstock.stores.sqlite.threads import Threads

Afterwards: TypeAlias = Callable[[], Awaitable[None]]


class InlineStore(SqliteStore):
    """What joins a connection of the user's runs with the next enqueue or drain: only the user knows when that has committed."""

    afterwards: Afterwards
    """Runs what can run."""

    def transaction(self, *, shared: bool = False) -> Handle:
        return InlineHandle(super().transaction(shared=shared), self.afterwards)

    def _make_log(self, threads: Threads) -> SqliteLog:
        return InlineLog(threads, self.afterwards)

    def _make_queue(self, threads: Threads) -> SqliteQueue:
        return InlineQueue(super()._make_queue(threads), self.afterwards)


class InlineQueue(SqliteQueue):
    def __init__(self, queue: SqliteQueue, afterwards: Afterwards) -> None:
        super().__init__(queue._writer, queue._reader, {})
        self._room = queue._room
        self._afterwards = afterwards

    async def put(self, messages: Sequence[Message]) -> list[Placed]:
        placed = await super().put(messages)
        await self._afterwards()
        return placed


class InlineLog(SqliteLog):
    def __init__(self, threads: Threads, afterwards: Afterwards) -> None:
        super().__init__(threads.writer, threads.reader)
        self._afterwards = afterwards

    async def publish(self, topic: TopicSpec, events: Sequence[Event]) -> list[Placed]:
        placed = await super().publish(topic, events)
        await self._afterwards()
        return placed

    async def append(self, append: Append) -> int:
        version = await super().append(append)
        await self._afterwards()
        return version


class InlineHandle(Handle):
    """Its commit runs what it put."""

    def __init__(self, handle: Handle, afterwards: Afterwards) -> None:
        super().__init__(handle._access, handle._thread, handle._inner)
        self._afterwards = afterwards

    async def commit(self, settle: tuple[int, Sequence[Settlement]] | None = None) -> None:
        await super().commit(settle)
        if settle is None:
            await self._afterwards()
