"""A shop in which there is something of everything, and what its handlers ran."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

from penstock import App, Context, DeadLetter, Reject, Retry, Unique
from penstock.ports.leases import Enrolment
from penstock.ports.queue import Claim
from penstock.ports.store import Store

RETRY_LATER = Retry(attempts=5, first=3600, limit=3600)
DEAD = 4711


@dataclass(frozen=True)
class Placed:
    order: str
    n: int


@dataclass(frozen=True)
class Deposited:
    cents: int


@dataclass
class Facts:
    """Jobs of the old house, by their ids."""

    done: str = ""
    dead: str = ""
    retried: str = ""
    stray: str = ""
    behind: str = ""
    """Its key waits for what is retried."""
    leased: str = ""
    far: str = ""
    unique: str = ""
    chained: str = ""
    cancelled: str = ""
    waiting: list[str] = field(default_factory=list)
    keyed: list[str] = field(default_factory=list)


class Shop:
    """The app, on any store."""

    def __init__(self, url: str, *, mended: bool = False, whole: bool = True) -> None:
        """`mended`: what failed in the old house works in the new one. `whole`: it has the task that the old workers did not know."""
        self.app = App(url, name="shop")
        self.ran: Counter[str] = Counter()
        self.order: list[str] = []
        self._mended = mended
        self._more = asyncio.Event()
        self._tasks(whole)
        self._topics()
        self.app.schedule(self.tick.bind(), name="tick", every=timedelta(seconds=1), missed="skip")
        self.app.queue("slow", concurrency=2, rate="1000/s")

    def note(self, what: str) -> None:
        self.ran[what] += 1
        self.order.append(what)
        self._more.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Looks again after each run."""
        async with asyncio.timeout(30):
            while not condition():
                self._more.clear()
                await self._more.wait()

    def _tasks(self, whole: bool) -> None:
        app = self.app

        @app.task(queue="mail")
        async def send(ctx: Context, n: int) -> int:
            ctx.progress(0.5, "half")
            self.note(ctx.job_id)
            return n * 2

        @app.task(queue="mail", retry=RETRY_LATER)
        async def refuse(ctx: Context, n: int) -> None:
            self.note(ctx.job_id)
            if not self._mended:
                raise ConnectionError(f"{n} refused")

        @app.task(queue="mail", retry=Retry(attempts=1))
        async def fail(ctx: Context, n: int) -> None:
            self.note(ctx.job_id)
            if not self._mended:
                raise ValueError(f"bad {n}")

        @fail.on_dead
        async def mourn(letter: DeadLetter) -> None:
            self.note(f"mourned {letter.job_id}")

        @app.task(queue="slow")
        async def crawl(ctx: Context, n: int) -> None:
            self.note(ctx.job_id)

        @app.task(queue="left")
        async def leave(ctx: Context) -> None:
            self.note(ctx.job_id)

        @app.task(queue="ticks")
        async def tick(ctx: Context) -> None:
            self.note(ctx.job_id)

        self.send, self.refuse, self.fail, self.crawl, self.leave, self.tick = send, refuse, fail, crawl, leave, tick
        if whole:

            @app.task(queue="mail")
            async def novel(ctx: Context, n: int) -> None:
                self.note(ctx.job_id)

            self.novel = novel

    def _topics(self) -> None:
        app = self.app
        self.orders = app.topic("orders", Placed, key=lambda event: event.order, retention=timedelta(days=30))
        self.accounts = app.topic("accounts", Deposited, versioned=True)

        @app.subscribe(self.orders, start="beginning")
        async def ship(event: Placed) -> None:
            self.note(f"ship {event.order} {event.n}")

        @app.subscribe(self.orders, start="beginning", on_dead="hold", retry=Retry(attempts=1))
        async def bill(event: Placed) -> None:
            if event.order == "bad" and event.n == 0 and not self._mended:
                raise Reject("no such customer")
            self.note(f"bill {event.order} {event.n}")

        self.ship, self.bill = ship, bill


async def live(url: str) -> tuple[Shop, Facts]:
    """An old house: some work is done, and some of every kind is not. The shop is closed."""
    shop, newer, facts = Shop(url, whole=False), Shop(url), Facts()
    await shop.orders.publish_many([Placed("good", n) for n in range(3)] + [Placed("bad", n) for n in range(3)])
    await shop.orders.using(id="order:7").publish(Placed("good", 3))
    for cents in (1, 2, 3):
        await shop.accounts.append("sam", [Deposited(cents)], expected=cents - 1)
    facts.done = (await shop.send.using(id="welcome:7").enqueue(21)).id
    facts.dead = (await shop.fail.enqueue(1)).id
    facts.retried = (await shop.refuse.using(key="user:1").enqueue(1)).id
    facts.stray = (await newer.novel.enqueue(1)).id
    await shop.crawl.using(id="limited:1").enqueue(1)
    async with shop.app.worker(), asyncio.timeout(30):
        await shop.until(lambda: _worked(shop))
        await _has_settled(shop, facts)
    await _leave_open(shop, facts)
    await shop.app.close()
    await newer.app.close()
    return shop, facts


def _worked(shop: Shop) -> bool:
    shipped = [what for what in shop.ran if what.startswith("ship")]
    billed = [what for what in shop.ran if what.startswith("bill good")]
    ticks = [what for what in shop.ran if what.startswith("tick@")]
    return len(shipped) == 7 and len(billed) == 4 and shop.ran["welcome:7"] + shop.ran["limited:1"] == 2 and bool(ticks)


async def _has_settled(shop: Shop, facts: Facts) -> None:
    assert await shop.app.job(facts.done).result() == 42
    store = await shop.app._link.opened()

    async def settled() -> bool:
        statuses = [await shop.app.job(id).status() for id in (facts.dead, facts.retried)]
        return statuses == ["dead", "retrying"] and sum(queue.dead for queue in await store.inspect.queues()) == 2

    await eventually(settled)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Looks all the time: not every end rings somebody."""
    async with asyncio.timeout(30):
        while True:
            if await condition():
                return
            await asyncio.sleep(0)


async def _leave_open(shop: Shop, facts: Facts) -> None:
    """No worker is there any more, but one that dies with what it holds."""
    await shop.orders.publish_many([Placed("good", n) for n in range(4, 6)])
    facts.behind = (await shop.refuse.using(key="user:1").enqueue(2)).id
    facts.keyed = [(await shop.send.using(key="user:2").enqueue(n)).id for n in range(3)]
    facts.chained = (await shop.send.using(then=shop.crawl.using(id="after:1").bind(1)).enqueue(1)).id
    facts.waiting = [(await shop.send.enqueue(n)).id for n in range(5)]
    facts.waiting += [(await shop.crawl.enqueue(n)).id for n in range(3)]
    facts.waiting += [(await shop.send.using(priority=9).enqueue(1)).id, (await shop.send.using(delay=0.01).enqueue(1)).id]
    facts.far = (await shop.send.using(delay=timedelta(days=3)).enqueue(1)).id
    facts.unique = (await shop.send.using(unique=Unique("welcome:9"), delay=timedelta(days=1)).enqueue(9)).id
    facts.cancelled = (await shop.send.enqueue(1)).id
    await shop.app.job(facts.cancelled).cancel()
    store = await shop.app._link.opened()
    await store.settings.write("queue:mail", "paused", "true", "test")
    facts.leased = (await shop.leave.enqueue()).id
    await die_with(store, "left", "shop.leave")


async def die_with(store: Store, queue: str, task: str) -> None:
    """A worker that claims, and is gone without a word once the store is closed: its rows stay."""
    await store.leases.enrol(Enrolment(DEAD, "shop", "dead", 1, "nowhere", (queue,), (task,), lease=1_000_000))
    claimed = await store.queue.claim(Claim(DEAD, [(queue, 10)], frozenset({task})))
    assert len(claimed.runs) == 1
