"""A store in which what was enqueued has run when `enqueue` returns: through the file, the codec and a worker, like any other time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from penstock.model.delivery import Settlement
from penstock.model.log import Append, Event, TopicSpec
from penstock.model.message import Message, Placed
from penstock.stores.sql.log import SqlLog
from penstock.stores.sql.queue import SqlQueue
from penstock.stores.sqlite.dialect import SQLITE
from penstock.stores.sqlite.handle import Handle
from penstock.stores.sqlite.store import SqliteStore
from penstock.stores.sqlite.threads import Threads

Afterwards: TypeAlias = Callable[[], Awaitable[None]]


class InlineStore(SqliteStore):
    """What joins a connection of the user's runs with the next enqueue or drain: only the user knows when that has committed."""

    afterwards: Afterwards
    """Runs what can run."""

    def transaction(self, *, shared: bool = False, blocking: bool = False) -> Handle:
        return InlineHandle(super().transaction(shared=shared), self.afterwards)

    def _make_log(self, threads: Threads) -> SqlLog:
        return InlineLog(threads, self.afterwards)

    def _make_queue(self, threads: Threads) -> SqlQueue:
        return InlineQueue(super()._make_queue(threads), self.afterwards)


class InlineQueue(SqlQueue):
    def __init__(self, queue: SqlQueue, afterwards: Afterwards) -> None:
        super().__init__(queue._writer, queue._reader, queue._dialect, {})
        self._room = queue._room
        self._afterwards = afterwards

    async def put(self, messages: Sequence[Message]) -> list[Placed]:
        placed = await super().put(messages)
        await self._afterwards()
        return placed


class InlineLog(SqlLog):
    def __init__(self, threads: Threads, afterwards: Afterwards) -> None:
        super().__init__(threads.writer, threads.reader, SQLITE)
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

    async def commit(self, settle: tuple[int, Sequence[Settlement]] | None = None, *, alone: bool = False) -> None:
        await super().commit(settle)
        if settle is None:
            await self._afterwards()
