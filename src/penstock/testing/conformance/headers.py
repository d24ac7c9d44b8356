"""Headers come out as they went in, whatever is in them and whichever way they go. They are an object of strings, kept as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec
import pytest
from msgspec import Raw
from msgspec.structs import replace

from penstock.model.chain import Successor
from penstock.model.log import Append
from penstock.model.message import NOTHING, Message, Options, raw
from penstock.model.outcome import Dead
from penstock.testing.conformance.ground import QUEUE, TASK, Ground
from penstock.testing.conformance.readers import ACCOUNTS, ORDERS, event, feed, log, reader, subscription

Headers: TypeAlias = Mapping[str, str] | None

CORPUS: Mapping[str, Headers] = {
    "none": None,
    "an empty object": {},
    "an empty name and an empty value": {"": ""},
    "unicode": {"naïve": "ÄÖÜ ß 日本語 🚰", "🚰": "عربى \u202e\u2028\ufeff"},
    "control characters": {"NUL \x00": "\x00\t\r\n\x1b\x7f", 'quotes "': "\\ ' \" -- ; drop table"},
    "64 keys": {f"key-{n:02}": "v" * n for n in range(64)},
    "64 KiB": {"baggage": "é" * 32 * 1024},
}
corpus = pytest.mark.parametrize("headers", list(CORPUS.values()), ids=list(CORPUS))


class HeaderConformance:
    @corpus
    async def test_headers_of_a_message(self, store: Ground, headers: Headers) -> None:
        """Also when it comes back."""
        worker = await store.worker()
        await store.queue.put([with_headers("a", headers)])
        for _ in range(2):
            delivery = await worker.claim_one()
            assert (delivery.raw_headers, delivery.headers) == (encoded(headers), headers or {})
            await worker.end(delivery, store.failed(0))
        assert (await store.job("a")).headers == encoded(headers)

    @corpus
    async def test_headers_of_a_dead_letter_and_of_its_replay(self, store: Ground, headers: Headers) -> None:
        worker = await store.worker()
        await store.queue.put([with_headers("a", headers)])
        await worker.end(await worker.claim_one(), Dead("rejected"))
        assert (await store.letter("a")).headers == encoded(headers)
        await store.queue.replay(["a"])
        assert (await worker.claim_one()).raw_headers == encoded(headers)

    @corpus
    async def test_headers_in_a_transaction(self, store: Ground, headers: Headers) -> None:
        worker = await store.worker()
        shipping = await reader(store, subscription("shipping"))
        tx = store.store.transaction()
        await tx.put([with_headers("kept back", headers), replace(with_headers("at once", headers), given=True)])
        await tx.publish(ORDERS, [replace(event("published"), headers=encoded(headers))])
        await tx.commit()
        await feed(store, "shipping")
        came = [*await worker.claim(), *await shipping.claim(queue="shipping")]
        assert {each.job_id: each.raw_headers for each in came} == dict.fromkeys(
            ("kept back", "at once", "published@shipping"), encoded(headers)
        )

    @corpus
    async def test_headers_on_a_users_connection(self, store: Ground, headers: Headers) -> None:
        store.needs(store.backend.capabilities.joins, "joined connections")
        shipping = await reader(store, subscription("shipping"))
        connection = store.connect()
        connection.execute("create table users (name text)")
        connection.commit()
        connection.execute("insert into users (name) values ('sam')")
        joined = store.store.join(connection.driver)
        await joined.put([with_headers("a", headers)])
        await joined.publish(ORDERS, [replace(event("published"), headers=encoded(headers))])
        connection.commit()
        await feed(store, "shipping")
        assert (await (await store.worker()).claim_one()).raw_headers == encoded(headers)
        assert [each.raw_headers for each in await shipping.claim(queue="shipping")] == [encoded(headers)]

    @corpus
    async def test_headers_of_events(self, store: Ground, headers: Headers) -> None:
        """Of a topic and of a stream, to a subscription each."""
        for spec in (ORDERS, ACCOUNTS):
            worker = await reader(store, subscription(f"of {spec.name}", spec))
            one = replace(event(f"in {spec.name}", "k"), headers=encoded(headers))
            await (log(store).append(Append(spec, "k", [one], 0)) if spec.versioned else log(store).publish(spec, [one]))
            await feed(store, f"of {spec.name}")
            assert [each.raw_headers for each in await worker.claim(queue=f"of {spec.name}")] == [encoded(headers)]

    @corpus
    async def test_headers_of_what_follows(self, store: Ground, headers: Headers) -> None:
        worker = await store.worker()
        then = Successor("b", QUEUE, TASK, Raw(b"{}"), headers=NOTHING if headers is None else Raw(msgspec.json.encode(headers)))
        await store.queue.put([replace(store.message("a"), options=msgspec.json.encode(Options(then=raw(msgspec.json.encode(then)))))])
        await worker.done(await worker.claim_one())
        assert (await worker.claim_one()).headers == (headers or {})


def with_headers(name: str, headers: Headers) -> Message:
    return Message(name, QUEUE, TASK, name.encode(), encoded(headers))


def encoded(headers: Headers) -> bytes | None:
    return None if headers is None else msgspec.json.encode(headers)
