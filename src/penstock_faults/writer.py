"""A user's transaction that has published stays open: jobs go on, feeds wait, and lose nothing when it ends.

    python -m penstock_faults.writer --seconds 60

One process offers jobs and events at a steady rate and uses other verbs now and then: before, while a transaction that has
published and appended is open on a connection of its own, and after it. While it is open the feed hands out nothing that came
after its event; then all of it, once, in the order of the log.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import psycopg
from msgspec import Struct

from penstock import App, Transaction
from penstock.stores.postgres import floor
from penstock_faults.feed import Link
from penstock_faults.site import Site
from penstock_faults.software import server
from penstock_faults.waiting import conclude, until

WARM, BESIDE = 1.0, 3.0
"""Seconds before the first measurement, and of those before and after."""
JOBS, EVENTS, VERBS = 200, 50, 5
"""A second."""
PATIENCE = 60.0
HELD = 0
"""The number of the event in the open transaction."""
SLOWER, SLACK = 3, 250
"""While it is open, p99 of the jobs may be so many times that of before, and so many ms: others use this machine."""
LATE = 1_000
"""ms from its commit to its event. Nobody rings when a user commits: what is held back is looked at every 100 ms."""


class Noted(Struct):
    n: int


class Opened(Struct):
    n: int


@dataclass
class Phase:
    """What was measured between two moments."""

    offered: int = 0
    waits: list[float] = field(default_factory=list)
    """Of jobs, from the call of `enqueue` to their handler."""
    verbs: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def p99(self) -> int:
        return quantile(self.waits, 0.99)

    def figures(self) -> dict[str, object]:
        slowest = {name: ms(max(seconds)) for name, seconds in sorted(self.verbs.items())}
        return {"jobs": len(self.waits), "p50_ms": quantile(self.waits, 0.5), "p99_ms": self.p99, "slowest_ms": slowest}


class Office:
    """An app, its worker, and its users."""

    def __init__(self, url: str) -> None:
        self.app = App(url, name="office")
        self.phases = [Phase()]
        self.published = 0
        self.read: list[int] = []
        """Numbers of events in the order of their handlers."""
        self.freed = asyncio.Event()
        """The held event has been read."""
        self.notes = self.app.topic("notes", Noted, key=lambda _: "all")
        self.accounts = self.app.topic("accounts", Opened, versioned=True)

        @self.app.task()
        async def work(tx: Transaction, sent: float) -> None:
            self.phases[-1].waits.append(time.monotonic() - sent)

        @self.app.subscribe(self.notes, start="beginning")
        async def note(event: Noted) -> None:
            self.read.append(event.n)
            if event.n == HELD:
                self.freed.set()

        self.work = work

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """To its end all that is offered is done."""
        async with self.app.worker() as worker:
            steady = [(JOBS, self.enqueue), (EVENTS, self.publish), (VERBS, self.use)]
            closing = asyncio.Event()
            load = asyncio.gather(*(steadily(rate, act, closing) for rate, act in steady))
            try:
                yield
            finally:
                closing.set()
                await load
            await until(lambda: len(self.read) > self.published, "all events", PATIENCE)
            await worker.idle()

    async def measure(self, seconds: float) -> Phase:
        self.phases.append(Phase())
        await asyncio.sleep(seconds)
        return self.phases[-1]

    async def enqueue(self, _: int) -> None:
        await self.timed("enqueue", self.put())

    async def put(self, **how: Any) -> Any:
        self.phases[-1].offered += 1
        return await self.work.using(**how).enqueue(time.monotonic())

    async def publish(self, n: int) -> None:
        await self.timed("publish", self.notes.publish(Noted(n)))
        self.published += 1

    async def use(self, n: int) -> None:
        job, key = await self.put(), f"key-{n % 7}"
        await self.timed("status", job.status())
        await self.timed("transaction", self.transact())
        await self.timed("append", self.accounts.append(key, [Opened(n)], expected=None))
        await self.timed("read", self.accounts.read(key))
        await self.timed("head", self.notes.head())

    async def transact(self) -> None:
        async with self.app.transaction() as tx:
            await self.put(tx=tx)

    async def timed(self, name: str, verb: Awaitable[Any]) -> Any:
        phase, began = self.phases[-1], time.monotonic()
        result = await verb
        phase.verbs[name].append(time.monotonic() - began)
        return result


async def steadily(rate: int, act: Callable[[int], Awaitable[None]], closing: asyncio.Event) -> None:
    """Open loop; returns when all that was begun has ended."""
    began, n = time.monotonic(), 0
    async with asyncio.TaskGroup() as group:
        while not closing.is_set():
            n += 1
            group.create_task(act(n))  # type: ignore[arg-type]
            await asyncio.sleep(max(0.0, began + n / rate - time.monotonic()))


@dataclass
class Found:
    before: Phase
    during: Phase
    after: Phase
    named: bool
    """`who_holds` named the transaction and its age."""
    held: int
    """Events that others published meanwhile."""
    early: int
    """Events that had been read when it was committed."""
    delay: int
    """ms from its commit to its event."""
    caught_up: int = 0
    """ms from its commit to the last event that it held back."""
    read: list[int] = field(default_factory=list)
    log: list[int] = field(default_factory=list)
    offered: int = 0
    done: int = 0


async def run(url: str, seconds: float) -> Found:
    office, link = Office(url), Link(await asyncpg.connect(url))
    async with office.open():
        await office.measure(WARM)
        before = await office.measure(BESIDE)
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await office.notes.using(tx=connection).publish(Noted(HELD))
            await office.accounts.using(tx=connection).append("held", [Opened(HELD)], expected=None)
            published = office.published
            during = await office.measure(seconds)
            holder = await link.run(floor.who_holds())
            named = holder is not None and holder.pid == connection.info.backend_pid and (holder.seconds or 0) >= seconds
            found = Found(before, during, during, named, office.published - published, len(office.read), 0)
            await connection.commit()
        committed, there = time.monotonic(), office.published
        await asyncio.wait_for(office.freed.wait(), PATIENCE)
        found.delay = ms(time.monotonic() - committed)
        await until(lambda: len(office.read) > there, "what was held back", PATIENCE)
        found.caught_up = ms(time.monotonic() - committed)
        found.after = await office.measure(BESIDE)
    found.read, found.log = office.read, [record.event.n async for record in office.notes.replay()]
    found.offered, found.done = (sum(count) for count in zip(*((each.offered, len(each.waits)) for each in office.phases), strict=True))
    await office.app.close()
    await link.connection.close()
    return found


def judge(found: Found) -> dict[str, object]:
    published = set(range(HELD, len(found.log)))
    result: dict[str, object] = {
        "lost": len(published - set(found.read)),
        "twice": len(found.read) - len(set(found.read)),
        "disordered": found.read != found.log,
        "passed_by": max(0, found.early - found.log.index(HELD)),
        "jobs_lost": found.offered - found.done,
        "named": found.named,
        "held_back": found.held,
        "commit_to_event_ms": found.delay,
        "commit_to_last_ms": found.caught_up,
        **{name: getattr(found, name).figures() for name in ("before", "during", "after")},
    }
    right = not any(result[fault] for fault in ("lost", "twice", "disordered", "passed_by", "jobs_lost"))
    steady = found.during.p99 <= SLOWER * found.before.p99 + SLACK
    return {**result, "void": not found.held, "ok": right and steady and found.named and bool(found.held) and found.delay <= LATE}


def quantile(seconds: list[float], q: float) -> int:
    """ms; 0 of none."""
    return ms(sorted(seconds)[int(len(seconds) * q)]) if seconds else 0


def ms(seconds: float) -> int:
    return round(seconds * 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=60, help="that the transaction stays open")
    parser.add_argument("--server", help="URL of a PostgreSQL database, beside which one is made and dropped; else a fresh server")
    options = parser.parse_args()
    with server(options.server) as url, Site.on(url) as site:
        found = asyncio.run(run(site.url, options.seconds))
    conclude(judge(found))


if __name__ == "__main__":
    main()
