"""Bodies come out as they went in, of any size and whether or not anybody can decode them, whichever way they go."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from penstock.model.log import Append, Event
from penstock.model.message import Message
from penstock.model.outcome import Dead, Done
from penstock.testing.conformance.ground import QUEUE, TASK, Ground
from penstock.testing.conformance.readers import ACCOUNTS, ORDERS, feed, log, reader, subscription
from penstock.testing.conformance.worker import ids

MIB = 1 << 20
CORPUS: Mapping[str, bytes] = {
    "empty": b"",
    "a zero": b"\0",
    "every byte": bytes(range(256)),
    "no text": b'{"a": \xff\xfe\xed\xa0\x80',
    "1 MiB": bytes(range(256)) * (MIB // 256),
    "8 MiB": b"\x00\xffpenstock" * (8 * MIB // 10),
}
corpus = pytest.mark.parametrize("body", list(CORPUS.values()), ids=list(CORPUS))


class BodyConformance:
    @corpus
    async def test_the_body_of_a_message(self, store: Ground, body: bytes) -> None:
        """Also when it comes back, and of what it came to."""
        worker = await store.worker()
        await store.queue.put([with_body("a", body)])
        delivery = await worker.claim_one()
        assert delivery.body == body
        await worker.end(delivery, store.failed(0))
        again = await worker.claim_one()
        assert again.body == body
        await worker.end(again, Done(body))
        job = await store.job("a")
        assert (job.body, job.result) == (body, body)

    @corpus
    async def test_the_body_of_a_dead_letter_and_of_its_replay(self, store: Ground, body: bytes) -> None:
        """As of one that could not be decoded."""
        worker = await store.worker()
        await store.queue.put([with_body("a", body)])
        await worker.end(await worker.claim_one(), Dead("undecodable"))
        letter = await store.letter("a")
        assert (letter.body, letter.reason) == (body, "undecodable")
        await store.queue.replay(["a"])
        assert (await worker.claim_one()).body == body

    @corpus
    async def test_bodies_in_a_transaction(self, store: Ground, body: bytes) -> None:
        shipping = await reader(store, subscription("shipping"))
        tx = store.store.transaction()
        await tx.put([with_body("a", body)])
        await tx.publish(ORDERS, [Event("published", "Placed", body)])
        await tx.commit()
        await feed(store, "shipping")
        came = [*await (await store.worker()).claim(), *await shipping.claim(queue="shipping")]
        assert {each.job_id: each.body for each in came} == {"a": body, "published@shipping": body}

    @corpus
    async def test_bodies_on_a_users_connection(self, store: Ground, body: bytes) -> None:
        store.needs(store.backend.capabilities.joins, "joined connections")
        connection = store.connect()
        connection.execute("create table users (name text)")
        await store.store.join(connection.driver).put([with_body("a", body)])
        connection.commit()
        assert (await (await store.worker()).claim_one()).body == body

    @corpus
    async def test_bodies_of_events(self, store: Ground, body: bytes) -> None:
        """Of a topic and of a stream: as they are read, and as a subscription has them."""
        for spec in (ORDERS, ACCOUNTS):
            worker = await reader(store, subscription(f"of {spec.name}", spec))
            one = Event(f"in {spec.name}", "Placed", body, "k")
            await (log(store).append(Append(spec, "k", [one], 0)) if spec.versioned else log(store).publish(spec, [one]))
            await feed(store, f"of {spec.name}")
            assert [each.body for each in await log(store).read(spec.name, 0, 10)] == [body]
            assert [each.body for each in await worker.claim(queue=f"of {spec.name}")] == [body]

    async def test_large_ones_among_small_ones(self, store: Ground) -> None:
        """In one put, one claim and one settle."""
        worker = await store.worker()
        bodies = {f"m{n:02}": CORPUS["1 MiB"] if n % 3 == 0 else b"small" for n in range(12)}
        await store.queue.put([with_body(name, body) for name, body in bodies.items()])
        came = await worker.claim(20)
        assert {each.job_id: each.body for each in came} == bodies
        assert ids(came) == list(bodies)
        await worker.end(came, Done(CORPUS["1 MiB"]))
        assert [len((await store.job(name)).result or b"") for name in bodies] == [MIB] * 12


def with_body(name: str, body: bytes) -> Message:
    return Message(name, QUEUE, TASK, body)
