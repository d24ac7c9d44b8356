"""What a transaction kept back, and its end: one round trip where both are plain."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.model.delivery import Settlement
from penstock.model.message import Message
from penstock.model.outcome import Done
from penstock.stores.postgres.dialect import make_dialect
from penstock.stores.postgres.settling import settle_with
from penstock.stores.sql import watching
from penstock.stores.sql.dialect import Settled
from penstock.stores.sql.kept import Kept
from tests.integration.postgres.client import NOW, Client, Connect
from tests.integration.postgres.stage import enrol, in_one, lease, one

COUNTS = "select queue, waiting, running, done, kept from penstock.count order by queue"
WAITS = "select m.id, r.queue from penstock.ready r join penstock.message m using (seq) order by r.queue, r.seq"
OWNER = 1


@pytest.fixture
async def client(connect: Connect) -> Client:
    return await connect()


def follow(*ids: str, queue: str = "after", **more: Any) -> list[Message]:
    return [Message(id, queue, "follow", id.encode(), **more) for id in ids]


async def end(client: Client, messages: list[Message], *jobs: str) -> tuple[Settled, int]:
    """And the round trips that it took."""
    kept = Kept(make_dialect(strict=False))
    kept.put(messages)
    held = await lease(client, OWNER, **dict.fromkeys(jobs))
    start = client.trips
    ends = [Settlement(each, Done(b"1")) for each in held]
    settled, wrote = await in_one(client, settle_with(kept, OWNER, ends, NOW))
    assert wrote
    assert not kept
    return settled, client.trips - start


async def test_the_end_and_what_follows_are_one_statement(client: Client) -> None:
    await enrol(client, OWNER)
    settled, trips = await end(client, follow("a", "b"), "job")
    assert (settled.lost, settled.heard, trips) == ([], (), 1)
    assert [tuple(row) for row in await client.connection.fetch(WAITS)] == [("a", "after"), ("b", "after")]
    assert [tuple(row) for row in await client.connection.fetch(COUNTS)] == [("after", 2, 0, 0, 0), ("mail", 0, -1, 1, 1)]
    assert await client.fetchval("select result from penstock.finished") == b"1"
    assert await client.fetchval("select count(*) from penstock.leased") == 0


async def test_each_that_follows_has_its_own_body(client: Client) -> None:
    await enrol(client, OWNER)
    every = bytes(range(256))
    bodies = {"z": b"", "a": every[:1], "b": every, "c": every[:0:-1]}
    sent = [Message(id, "after", "task", body) for id, body in bodies.items()]
    _, trips = await end(client, sent, "job")
    found = await client.connection.fetch("select id, body from penstock.message where queue = 'after' order by seq")
    assert ([tuple(row) for row in found], trips) == ([(each.id, each.body) for each in sent], 1)


async def test_whoever_waits_for_it_hears_of_it(client: Client) -> None:
    await enrol(client, OWNER)
    kept = Kept(make_dialect(strict=False))
    kept.put(follow("a"))
    held = await lease(client, OWNER, job=None)
    assert await client.run(watching.watch("job", "ear")) is True
    settled, _ = await in_one(client, settle_with(kept, OWNER, [Settlement(held[0], Done())], NOW))
    assert settled.heard == [("job", "ear")]


async def test_it_says_that_another_has_the_job(client: Client) -> None:
    await enrol(client, OWNER, 2)
    kept = Kept(make_dialect(strict=False))
    kept.put(follow("a"))
    held = await lease(client, 2, job=None)
    settled, _ = await in_one(client, settle_with(kept, OWNER, [Settlement(held[0], Done())], NOW))
    assert settled.lost == [held[0].seq]
    assert await client.fetchval("select count(*) from penstock.finished") == 0
    assert [tuple(row) for row in await client.connection.fetch(COUNTS)] == [("after", 1, 0, 0, 0)]


async def test_a_request_to_cancel_ends_with_its_job(client: Client) -> None:
    await enrol(client, OWNER)
    kept = Kept(make_dialect(strict=False))
    kept.put(follow("a"))
    held = await lease(client, OWNER, job=None)
    await client.run(one("request_cancel", owner=OWNER, seq=held[0].seq))
    await in_one(client, settle_with(kept, OWNER, [Settlement(held[0], Done())], NOW))
    assert await client.fetchval("select count(*) from penstock.cancel") == 0


@pytest.mark.parametrize("messages", [follow("a", key="k"), follow("a", delay=5), follow("a") + follow("b", queue="other")])
async def test_what_is_not_plain_goes_the_long_way(client: Client, messages: list[Message]) -> None:
    await enrol(client, OWNER)
    settled, trips = await end(client, messages, "job")
    assert (settled.lost, trips) == ([], 2)
    assert await client.fetchval("select count(*) from penstock.message") == 1 + len(messages)
    assert await client.fetchval("select count(*) from penstock.finished") == 1


async def test_a_batch_ends_the_long_way(client: Client) -> None:
    await enrol(client, OWNER)
    settled, trips = await end(client, follow("a"), "one", "two")
    assert (settled.lost, trips) == ([], 2)
    assert await client.fetchval("select count(*) from penstock.finished") == 2
