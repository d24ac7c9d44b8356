"""Subscriptions on connections of a test's own: declared, fed, sought and trimmed exactly when it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from penstock.model.log import Event, Fed, Start, SubscriptionSpec, SubscriptionView, TopicSpec, TopicView
from penstock.stores.postgres.dialect import make_dialect
from penstock.stores.postgres.feeding import feed
from penstock.stores.postgres.trimming import trim
from penstock.stores.sql import seeking
from penstock.stores.sql.topics import declare
from penstock.stores.sql.views import subscription_of, topic_of
from tests.integration.postgres.client import FACTS, NOW, Client, Happens
from tests.integration.postgres.stage import in_one, one

SUB = "sub"
DIALECT = make_dialect(strict=False)
SECOND = 1_000_000
BRIEF = TopicSpec("facts", retention=SECOND)
LATER = NOW + 2 * SECOND
"""When all that is written at `NOW` is older than BRIEF keeps it."""


async def subscribe(
    client: Client, name: str = SUB, types: Sequence[str] | None = None, start: Start = "beginning", topic: TopicSpec = FACTS
) -> None:
    spec = SubscriptionSpec(name, topic, "app", None if types is None else tuple(types), start)
    await in_one(client, declare([spec], [], NOW, DIALECT))


async def keep(client: Client, topic: TopicSpec) -> None:
    """Say how long."""
    await in_one(client, declare([], [topic], NOW, DIALECT))


async def fed(client: Client, name: str = SUB, limit: int = 100, meanwhile: Mapping[int, Happens] = MappingProxyType({})) -> Fed:
    """In a transaction of its own. What happens meanwhile does so after so many of its round trips."""
    async with client.transaction():
        return await give(client, name, limit, meanwhile)


async def give(client: Client, name: str = SUB, limit: int = 100, meanwhile: Mapping[int, Happens] = MappingProxyType({})) -> Fed:
    """In the transaction that is open."""
    happens = {client.trips + n: each for n, each in meanwhile.items()}
    return await client.run(feed(name, limit, NOW, strict=client.strict), happens)


async def seek(client: Client, position: int, name: str = SUB) -> int:
    return await in_one(client, seeking.seek(name, position))


async def drop(client: Client, name: str = SUB) -> int:
    return await in_one(client, seeking.drop(name, DIALECT))


async def trimmed(client: Client, now: int = LATER, limit: int = 100) -> int:
    return await in_one(client, trim(limit, now, strict=client.strict))


async def publish(client: Client, *names: str, type: str = "e", key: str | None = None, at: int = NOW, topic: TopicSpec = FACTS) -> None:
    await client.run(DIALECT.publish(topic, [Event(name, type, name.encode(), key) for name in names], at))


async def waiting(client: Client, name: str = SUB) -> list[str]:
    """The ids of what is ready, in the order in which it is claimed."""
    sql = "select m.id from penstock.ready r join penstock.message m using (seq) where r.queue = $1 order by r.rank, r.seq"
    return [row[0] for row in await client.connection.fetch(sql, name)]


async def positions(client: Client, topic: str = "facts") -> dict[str, int]:
    sql = "select e.id, e.pos from penstock.event e join penstock.topic t on t.number = e.topic where t.name = $1"
    return dict(await client.connection.fetch(sql, topic))


async def bodies(client: Client) -> dict[str, tuple[bytes, int | None]]:
    """Of all messages, with the position at which each points."""
    return {row[0]: (row[1], row[2]) for row in await client.connection.fetch("select id, body, ref from penstock.message")}


async def view(client: Client, name: str = SUB) -> SubscriptionView:
    return {row[0]: subscription_of(row) for row in await client.run(one("subscriptions"))}[name]


async def topic_view(client: Client, name: str = "facts") -> TopicView:
    return {row[0]: topic_of(row) for row in await client.run(one("topics"))}[name]


async def lock(client: Client, where: str, *values: Any) -> None:
    """Rows, in the transaction that is open."""
    await client.connection.fetch(f"select 1 from penstock.{where} for update", *values)
