"""`ports.log.Log` on the writer."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.model.log import Append as Appended
from penstock.model.log import Event, Fed, Recorded, Span, SubscriptionSpec, TopicSpec
from penstock.model.message import DEFAULT_PRIORITY, Placed
from penstock.stores.sql import seeking
from penstock.stores.sql.appending import agreed
from penstock.stores.sql.dialect import Dialect
from penstock.stores.sql.operations import Append, Publish, Run
from penstock.stores.sql.roads import Reading, Writing
from penstock.stores.sql.topics import declare, plain, versioned

_LAST = (1 << 40) - 1
_FOREVER = (1 << 63) - 1


class SqlLog:
    def __init__(self, writer: Writing, reader: Reading, dialect: Dialect) -> None:
        self._writer = writer
        self._reader = reader
        self._dialect = dialect

    async def declare(self, subscriptions: Sequence[SubscriptionSpec], topics: Sequence[TopicSpec] = ()) -> None:
        await self._writer.submit(Run(lambda now: declare(subscriptions, topics, now, self._dialect), "declare topics and subscriptions"))

    async def publish(self, topic: TopicSpec, events: Sequence[Event]) -> list[Placed]:
        return await self._writer.submit(Publish(plain(topic), events))  # type: ignore[no-any-return]

    async def append(self, append: Appended) -> int:
        return agreed(append, await self._writer.submit(Append(versioned(append))))

    async def read_key(self, topic: str, key: str, span: Span) -> list[Recorded]:
        ends = {"first": span.first, "last": _LAST if span.last is None else span.last}
        limits = {"until": _FOREVER if span.until is None else span.until, "limit": -1 if span.limit is None else span.limit}
        statement = "events_of_key_backward" if span.backward else "events_of_key"
        rows = await self._reader.rows(statement, {"topic": topic, "key": key, **ends, **limits})
        return [Recorded(*row) for row in rows]

    async def read(self, topic: str, after: int, limit: int) -> list[Recorded]:
        return await self._reader.drive(self._dialect.read(topic, after, limit))

    async def feed(self, subscription: str, limit: int) -> Fed:
        """Rings if it fed something: else it would wake whoever asked."""
        work = Run(
            lambda now: self._dialect.feed(subscription, limit, now),
            f"feed {subscription}",
            durable=False,
            rings=lambda fed: fed.count > 0,
            point="feed",
            ranks=frozenset([(subscription, 9 - DEFAULT_PRIORITY)]),
            rehearses=True,
        )
        return await self._writer.submit(work)  # type: ignore[no-any-return]

    async def seek(self, subscription: str, position: int) -> int:
        work = Run(lambda _: seeking.seek(subscription, position), f"seek {subscription}", rings=True)
        return await self._writer.submit(work)  # type: ignore[no-any-return]

    async def drop(self, subscription: str) -> int:
        work = Run(lambda _: seeking.drop(subscription, self._dialect), f"drop {subscription}", rings=True)
        return await self._writer.submit(work)  # type: ignore[no-any-return]

    async def trim(self, limit: int) -> int:
        work = Run(lambda now: self._dialect.trim(limit, now), "trim topics", durable=False)
        return await self._writer.submit(work)  # type: ignore[no-any-return]
