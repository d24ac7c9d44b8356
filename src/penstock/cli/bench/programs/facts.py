"""Topics under measurement: their publishers, writers and readers. Its handlers do nothing.

    python facts.py publish|together|many|append|race|crew|apart|read|replay|feed COUNT
    python facts.py steady COUNT RATE

Each prints one JSON object. PENSTOCK_BENCH_READERS: how many subscriptions a worker of `facts:app` has.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from penstock import App
from penstock.cli.bench.programs.program import PAYLOAD, now, peak_mebibytes
from penstock.cli.bench.sites import AT_ONCE
from penstock.model.log import SubscriptionSpec

Answer: TypeAlias = dict[str, Any]

CLIENTS = 100
BATCH = 1_000
EVENTS_A_KEY = 100


@dataclass(frozen=True)
class Happened:
    data: str


@dataclass(frozen=True)
class Moment:
    n: int


app = App(name="bench")
facts = app.topic("facts", Happened)
moments = app.topic("moments", Moment)
accounts = app.topic("accounts", Happened, versioned=True)
EVENT = Happened(PAYLOAD)


def read(number: int) -> None:
    @app.subscribe(facts, name=f"reader-{number}", start="beginning")
    async def handle(event: Happened) -> None: ...


for reader in range(int(os.environ.get("PENSTOCK_BENCH_READERS", "0"))):
    read(reader)


@app.subscribe(moments, name="watcher", start="beginning")
async def watch(event: Moment) -> tuple[int, int]:
    """When it began, by the clock that all processes of a machine share."""
    return event.n, now()


async def publish(count: int) -> Answer:
    return {"waits": [await timed(facts.publish(EVENT)) for _ in range(count)]}


async def together(count: int) -> Answer:
    """Clients that each wait for their event before they send the next one."""

    async def client() -> list[float]:
        return [await timed(facts.publish(EVENT)) for _ in range(count // CLIENTS)]

    waits = await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return {"waits": [wait for client in waits for wait in client]}


async def many(count: int) -> Answer:
    return {"waits": [await timed(facts.publish_many([EVENT] * BATCH)) for _ in range(count // BATCH)]}


async def append(count: int) -> Answer:
    """One after the other to one key, each with the version that it saw."""
    return {"waits": [await timed(accounts.append("acc", [EVENT], expected=version)) for version in range(count)]}


async def race(count: int, writers: int = CLIENTS) -> Answer:
    """Writers that each append to a key of their own."""

    async def writer(key: str) -> list[float]:
        return [await timed(accounts.append(key, [EVENT], expected=version)) for version in range(count // writers)]

    waits = await asyncio.gather(*(writer(f"acc-{n}") for n in range(writers)))
    return {"waits": [wait for writer in waits for wait in writer]}


async def crew(count: int) -> Answer:
    return await race(count, AT_ONCE)


async def apart(count: int) -> Answer:
    """Writers that share nothing: each has an app, so connections, of its own."""
    apps = [App(name=f"writer-{n}") for n in range(AT_ONCE)]
    topics = [each.topic("accounts", Happened, versioned=True) for each in apps]
    await asyncio.gather(*(topic.head() for topic in topics))
    began = time.perf_counter()

    async def writer(n: int) -> list[float]:
        return [await timed(topics[n].append(f"acc-{n}", [EVENT], expected=version)) for version in range(count // AT_ONCE)]

    waits = await asyncio.gather(*(writer(n) for n in range(AT_ONCE)))
    seconds = time.perf_counter() - began
    for each in apps:
        await each.close()
    return {"waits": [wait for writer in waits for wait in writer], "seconds": seconds}


async def fill(count: int) -> None:
    for n in range(count // EVENTS_A_KEY):
        await accounts.append(f"acc-{n}", [EVENT] * EVENTS_A_KEY, expected=0)


async def reads(count: int) -> Answer:
    """Keys of a hundred events each, one after the other."""
    keys = max(1, count // EVENTS_A_KEY)
    began = time.perf_counter()
    for n in range(keys):
        history = await accounts.read(f"acc-{n}")
        assert history.version == EVENTS_A_KEY
    return {"keys": keys, "reading": time.perf_counter() - began}


async def replay(count: int) -> Answer:
    began = time.perf_counter()
    seen = 0
    async for record in accounts.replay():
        seen += record.event is not None
    assert seen == count
    return {"reading": time.perf_counter() - began}


async def feed(count: int) -> Answer:
    """CPU of this process while it feeds one subscription, handling nothing."""
    for _ in range(count // BATCH):
        await facts.publish_many([EVENT] * BATCH)
    store = await app._link.opened()
    await store.log.declare([SubscriptionSpec("fed", facts._declared.spec, "bench", start="beginning")])
    fed = 0
    spent = time.process_time()
    while (one := await store.log.feed("fed", BATCH)).count:
        fed += one.count
    return {"fed": fed, "feeding": time.process_time() - spent}


async def steady(count: int, rate: int) -> Answer:
    """Open loop: a late one does not delay the next."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    sent: list[tuple[int, int, int]] = []

    async def send(n: int) -> None:
        called = now()
        await moments.publish(Moment(n))
        sent.append((n, called, now()))

    tasks: list[asyncio.Task[None]] = []
    for n in range(count):
        await asyncio.sleep(max(0.0, began + n / rate - loop.time()))
        tasks.append(asyncio.create_task(send(n)))
    await asyncio.gather(*tasks)
    return {"sent": sent}


async def timed(work: Awaitable[object]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def measured(before: Callable[[], Awaitable[None]] | None, work: Callable[[], Awaitable[Answer]]) -> Answer:
    """With the store open already, as in a program that has been running for a while."""
    await moments.head()
    if before is not None:
        await before()
    began, cpu = time.perf_counter(), time.process_time()
    answer = await work()
    answer = {"seconds": time.perf_counter() - began, **answer, "cpu": time.process_time() - cpu, "rss": peak_mebibytes()}
    await app.close()
    return answer


def main() -> None:
    verb, count, *rest = sys.argv[1], int(sys.argv[2]), *map(int, sys.argv[3:])
    plain: dict[str, Callable[[int], Awaitable[Answer]]] = {
        "publish": publish, "together": together, "many": many, "append": append, "race": race, "crew": crew,
        "apart": apart, "feed": feed,
    }  # fmt: skip
    filled: dict[str, Callable[[int], Awaitable[Answer]]] = {"read": reads, "replay": replay}
    if verb == "steady":
        print(json.dumps(asyncio.run(measured(None, lambda: steady(count, *rest)))))
    elif verb in plain:
        print(json.dumps(asyncio.run(measured(None, lambda: plain[verb](count)))))
    else:
        print(json.dumps(asyncio.run(measured(lambda: fill(count), lambda: filled[verb](count)))))


if __name__ == "__main__":
    main()
