"""`ports.log.Log` on the writer."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.model.log import Append as Appended
from penstock.model.log import Event, Fed, Recorded, Span, SubscriptionSpec, TopicSpec
from penstock.model.message import Placed
from penstock.model.statement import Row
from penstock.stores.sqlite import feeding, seeking, trimming
from penstock.stores.sqlite import topics as places
from penstock.stores.sqlite.operations import Append, Publish, Run
from penstock.stores.sqlite.publishing import agreed
from penstock.stores.sqlite.roads import Reading, Writing

_LAST = (1 << 40) - 1
_FOREVER = (1 << 63) - 1


class SqliteLog:
    def __init__(self, writer: Writing, reader: Reading) -> None:
        self._writer = writer
        self._reader = reader

    async def declare(self, subscriptions: Sequence[SubscriptionSpec], topics: Sequence[TopicSpec] = ()) -> None:
        await self._writer.submit(Run(lambda now: places.declare(subscriptions, topics, now), "declare topics and subscriptions"))

    async def publish(self, topic: TopicSpec, events: Sequence[Event]) -> list[Placed]:
        return await self._writer.submit(Publish(topic, events))  # type: ignore[no-any-return]

    async def append(self, append: Appended) -> int:
        return agreed(append, await self._writer.submit(Append(append)))

    async def read_key(self, topic: str, key: str, span: Span) -> list[Recorded]:
        ends = {"first": span.first, "last": _LAST if span.last is None else span.last}
        limits = {"until": _FOREVER if span.until is None else span.until, "limit": -1 if span.limit is None else span.limit}
        statement = "events_of_key_backward" if span.backward else "events_of_key"
        rows = await self._reader.rows(statement, {"topic": topic, "key": key, **ends, **limits})
        return [_recorded(row) for row in rows]

    async def read(self, topic: str, after: int, limit: int) -> list[Recorded]:
        found = await self._reader.rows("topic", {"name": topic})
        if not found:
            return []
        number = found[0][0]
        span = {"after": places.place(number, after), "end": places.place(number + 1, 0), "limit": limit}
        return [_recorded(row) for row in await self._reader.rows("events", span)]

    async def feed(self, subscription: str, limit: int) -> Fed:
        work = Run(lambda _: feeding.feed(subscription, limit), f"feed {subscription}", durable=False, rings=True, point="feed")
        return await self._writer.submit(work)  # type: ignore[no-any-return]

    async def seek(self, subscription: str, position: int) -> int:
        work = Run(lambda _: seeking.seek(subscription, position), f"seek {subscription}", rings=True)
        return await self._writer.submit(work)  # type: ignore[no-any-return]

    async def drop(self, subscription: str) -> int:
        work = Run(lambda _: seeking.drop(subscription), f"drop {subscription}", rings=True)
        return await self._writer.submit(work)  # type: ignore[no-any-return]

    async def trim(self, limit: int) -> int:
        work = Run(lambda now: trimming.trim(limit, now), "trim topics", durable=False)
        return await self._writer.submit(work)  # type: ignore[no-any-return]


def _recorded(row: Row) -> Recorded:
    place, id, type, body, at, key, version, headers = row
    return Recorded(places.position(place), id, type, body, at, key, version, headers)
