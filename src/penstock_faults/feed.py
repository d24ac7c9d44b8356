"""Many writers of one PostgreSQL log, and who reads it while they write. Nothing may be missed, read twice or change places.

    python -m penstock_faults.feed --writers 16 --events 1000000

Writers open transactions as users do: they change a row of their own, think, publish and append to random keys, roll back to
savepoints or altogether. One reader follows with the floor, another one with nothing but a cursor, in the same run. If the
second one loses nothing, the run has shown nothing, and is void.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import time
from array import array
from collections import defaultdict
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg

from penstock.model.log import Append, Conflict, Event, TopicSpec
from penstock.model.statement import Program, Rows
from penstock.stores.postgres import floor, publishing
from penstock.stores.postgres.library import load
from penstock.stores.sql.executors import drive_async
from penstock.stores.sql.topics import declare_topic
from penstock_faults.site import Site
from penstock_faults.software import server
from penstock_faults.waiting import conclude

T = TypeVar("T")
LIBRARY = load()
FACTS, ACCOUNTS = TOPICS = (TopicSpec("facts"), TopicSpec("accounts", versioned=True))
KEYS, ROWS, PAGE = 500, 2_000, 2_000


class Link:
    """A connection that programs run on, each statement a round trip."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def run(self, program: Program[T]) -> T:
        async def fetch(sql: str, params: Any) -> Rows:
            return await self.connection.fetch(sql, *params)  # type: ignore[no-any-return]

        return await drive_async(program, LIBRARY, fetch)


class Undone(Exception):
    """A transaction, or what came after a savepoint, that is rolled back on purpose."""


@dataclass
class Plan:
    url: str
    writers: int
    events: int
    think: float
    strict: bool
    seed: int


@dataclass
class Tally:
    kept: int = 0
    transactions: int = 0
    undone: int = 0
    savepoints_undone: int = 0
    conflicts: int = 0

    def add(self, other: Tally) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass
class Writer:
    link: Link
    plan: Plan
    name: str
    chance: random.Random
    tally: Tally = field(default_factory=Tally)
    published: int = 0
    """The number of its own stream's last event; what is rolled back leaves a hole."""
    drawn: int = 0

    async def write(self, events: int) -> Tally:
        while self.tally.kept < events:
            try:
                async with self.link.connection.transaction():
                    kept = await self.work()
            except Undone:
                self.tally.undone += 1
            else:
                self.tally.kept += kept
                self.tally.transactions += 1
        return self.tally

    async def work(self) -> int:
        """Keys in their order, as a user has to who does not want deadlocks."""
        kept = 0
        if self.chance.random() < 0.5:
            await self.link.connection.execute("update users set n = n + 1 where id = $1", self.chance.randrange(ROWS))
            await self.think()
        for key in sorted(self.chance.sample(range(KEYS), self.chance.randint(1, 3))):
            kept += await self.perhaps(f"{key:03}")
            await self.think()
        if self.chance.random() < 0.1:
            raise Undone
        return kept

    async def think(self) -> None:
        if self.chance.random() < 0.5:
            await asyncio.sleep(self.chance.random() * self.plan.think)

    async def perhaps(self, key: str) -> int:
        """A third of the statements stand behind a savepoint, and half of these are undone."""
        if self.chance.random() < 0.67:
            return await self.insert(key)
        try:
            async with self.link.connection.transaction():
                kept = await self.insert(key)
                if self.chance.random() < 0.5:
                    raise Undone
                return kept
        except Undone:
            self.tally.savepoints_undone += 1
            return 0

    async def insert(self, key: str) -> int:
        count = self.chance.randint(1, 12)
        if self.chance.random() < 0.4:
            events = [self.event(str(self.published + n), self.name) for n in range(1, count + 1)]
            self.published += count
            await self.link.run(publishing.publish(FACTS, events, now(), strict=self.plan.strict))
            return count
        expected = 0 if self.chance.random() < 0.1 else None
        appended = Append(ACCOUNTS, key, [self.event("", None) for _ in range(count)], expected)
        (result,) = await self.link.run(publishing.append(ACCOUNTS, [appended], now(), strict=self.plan.strict))
        self.tally.conflicts += isinstance(result, Conflict)
        return count if isinstance(result, int) else 0

    def event(self, body: str, key: str | None) -> Event:
        self.drawn += 1
        return Event(f"{self.name}:{self.drawn}", "e", body.encode(), key)


@dataclass
class Follower:
    """What a reader saw."""

    link: Link
    strict: bool
    positions: dict[str, array[int]] = field(default_factory=lambda: {topic.name: array("q") for topic in TOPICS})
    newest: defaultdict[tuple[str, str | None], int] = field(default_factory=lambda: defaultdict(int))
    inverted: int = 0
    lags: list[int] = field(default_factory=list)

    async def follow(self, ended: asyncio.Event) -> None:
        """Until a look that began after the last commit brings nothing."""
        while True:
            last = ended.is_set()
            found = sum([await self.page(topic.name) for topic in TOPICS])
            if last and not found:
                return
            await asyncio.sleep(0 if found >= PAGE else 0.005)

    async def page(self, topic: str) -> int:
        seen = self.positions[topic]
        events = await self.link.run(floor.read(topic, seen[-1] if seen else 0, PAGE, strict=self.strict))
        for event in events:
            seen.append(event.position)
            number = event.version or int(event.body)
            self.inverted += number <= self.newest[topic, event.key]
            self.newest[topic, event.key] = number
        self.lags += [now() - event.at for event in events[-1:]]
        return len(events)

    def verdict(self, kept: dict[str, set[int]]) -> dict[str, object]:
        read = {topic: set(seen) for topic, seen in self.positions.items()}
        lags = sorted(self.lags)
        return {
            "read": sum(map(len, self.positions.values())),
            "missed": sum(len(kept[topic] - read[topic]) for topic in kept),
            "duplicated": sum(len(seen) - len(read[topic]) for topic, seen in self.positions.items()),
            "never_kept": sum(len(read[topic] - kept[topic]) for topic in kept),
            "inverted": self.inverted,
            "lag_ms": {f"p{n}": lags[len(lags) * n // 100] // 1000 for n in (50, 99)},
        }


def now() -> int:
    return time.time_ns() // 1000


def write(plan: Plan, numbers: range) -> Tally:
    return asyncio.run(_write(plan, numbers))


async def _write(plan: Plan, numbers: range) -> Tally:
    links = [Link(await asyncpg.connect(plan.url)) for _ in numbers]
    writers = [Writer(link, plan, f"w{n}", random.Random(f"{plan.seed} {n}")) for n, link in zip(numbers, links, strict=True)]
    total = Tally()
    for tally in await asyncio.gather(*(writer.write(plan.events // plan.writers) for writer in writers)):
        total.add(tally)
    await asyncio.gather(*(link.connection.close() for link in links))
    return total


async def race(plan: Plan, processes: int) -> dict[str, object]:
    links = [Link(await asyncpg.connect(plan.url)) for _ in range(3)]
    await prepare(links[0])
    safe, naive = Follower(links[0], strict=False), Follower(links[1], strict=True)
    began, ended, holders = time.monotonic(), asyncio.Event(), list[float]()
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        written = [pool.submit(write, plan, range(n, plan.writers, processes)) for n in range(processes)]
        following = [asyncio.create_task(each.follow(ended)) for each in (safe, naive)]
        watching = asyncio.create_task(watch(links[2], holders, ended))
        total = await all_of(written)
        seconds = time.monotonic() - began
        ended.set()
        await asyncio.gather(watching, *following)
    kept = {topic.name: await positions(links[0], topic) for topic in TOPICS}
    await asyncio.gather(*(link.connection.close() for link in links))
    return judge(plan, total, seconds, {"floor": safe.verdict(kept), "naive": naive.verdict(kept)}, kept) | {
        "held_back_s": round(max(holders, default=0), 3)
    }


async def prepare(link: Link) -> None:
    await link.connection.execute("create table users (id int primary key, n int not null) with (fillfactor = 50)")
    await link.connection.execute(f"insert into users select n, 0 from generate_series(0, {ROWS - 1}) n")
    for topic in TOPICS:
        await link.run(declare_topic(topic))


async def all_of(written: list[Future[Tally]]) -> Tally:
    total = Tally()
    for tally in await asyncio.gather(*map(asyncio.wrap_future, written)):
        total.add(tally)
    return total


async def watch(link: Link, holders: list[float], ended: asyncio.Event) -> None:
    """How old the oldest appender gets."""
    while not ended.is_set():
        if (holder := await link.run(floor.who_holds())) is not None:
            holders.append(holder.seconds or 0)
        await asyncio.sleep(0.2)


async def positions(link: Link, topic: TopicSpec) -> set[int]:
    rows = await link.connection.fetch(
        "select e.pos from penstock.event e join penstock.topic t on t.number = e.topic where t.name = $1", topic.name
    )
    return {row[0] for row in rows}


def judge(plan: Plan, total: Tally, seconds: float, readers: dict[str, dict[str, object]], kept: dict[str, set[int]]) -> dict[str, object]:
    faults = {name: [readers[name][what] for what in ("missed", "duplicated", "inverted", "never_kept")] for name in readers}
    there = sum(map(len, kept.values()))
    void = not plan.strict and not faults["naive"][0]
    right = not any(faults["floor"]) and there == total.kept and not (plan.strict and any(faults["naive"]))
    return {
        "writers": plan.writers,
        "strict": plan.strict,
        "events": there,
        **vars(total),
        "seconds": round(seconds, 1),
        "events_per_second": round(there / seconds),
        **readers,
        "void": void,
        "ok": right and not void,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--writers", type=int, default=16)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--think", type=float, default=10, help="up to so many ms in the middle of a transaction")
    parser.add_argument("--strict", action="store_true", help="one lock for all appends: the reader without a floor must lose nothing")
    parser.add_argument("--processes", type=int, default=2, help="of writers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--server", help="URL of a PostgreSQL database, beside which one is made and dropped; else a fresh server")
    options = parser.parse_args()
    with server(options.server) as url, Site.on(url) as site:
        plan = Plan(site.url, options.writers, options.events, options.think / 1000, options.strict, options.seed)
        result = asyncio.run(race(plan, options.processes))
    conclude(result)


if __name__ == "__main__":
    main()
