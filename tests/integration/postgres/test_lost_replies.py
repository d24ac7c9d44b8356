"""The connection breaks after the server has committed and before it could say so: unknown, then safe to try again."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import psycopg
import pytest
from msgspec import Struct
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from penstock import App, Context, Retry, Transaction, Unique
from penstock.connect import administration
from penstock.errors import PublishUnknown, StoreUnavailable
from penstock.model.events import Event, Trouble
from penstock.testing.conformance.ground import until
from penstock_faults.proxy import Loss, Proxy, nothing

PATIENCE = 30.0
ONCE = Retry(attempts=1)


class Paid(Struct):
    order: int


class Shop:
    """A store that is reached through a proxy. All tables are in a schema of its own, which statements name: a pooler may be there."""

    def __init__(self, proxy: Proxy, bare: str) -> None:
        self.proxy, self.bare, self.schema = proxy, bare, f"lost_{secrets.token_hex(4)}"
        self.effects = f"{self.schema}.effects"
        administration(f"{bare}?schema={self.schema}").migrate()
        self.rows(f"create table {self.effects} (n integer)")
        self.url = f"{proxy.url}&schema={self.schema}"
        self.troubles: list[BaseException] = []
        self.use(App(self.url, name="shop"))

    def use(self, app: App) -> None:
        self.app = app
        app.signals.listen(self._note)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.bare, prepare_threshold=None) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def jobs(self) -> list[str]:
        return [id for (id,) in self.rows(f"select id from {self.schema}.message order by seq")]

    def done(self) -> list[int]:
        return sorted(n for (n,) in self.rows(f"select n from {self.effects}"))

    async def are_done(self, count: int) -> bool:
        """Asked on a thread: the proxy is on this loop, and whoever is behind it may be what the pooler waits for."""
        return len(await asyncio.to_thread(self.done)) >= count

    async def close(self) -> None:
        await self.app.close()
        self.rows(f"drop schema {self.schema} cascade")

    def _note(self, event: Event) -> None:
        if isinstance(event, Trouble):
            self.troubles.append(event.error)


@pytest.fixture(params=["direct", "pooled"])
async def shop(request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    bare = request.getfixturevalue("postgres_url" if request.param == "direct" else "pooled_url")
    async with Proxy(bare) as proxy:
        shop = await asyncio.to_thread(Shop, proxy, bare)
        yield shop
        await shop.close()


@pytest.fixture(params=["request", "reply", "half a reply"])
def loss(request: pytest.FixtureRequest) -> Loss:
    return request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize("unique", [None, "sam"])
async def test_an_enqueue_is_unknown_and_then_there_once(shop: Shop, loss: Loss, unique: str | None) -> None:
    @shop.app.task()
    async def welcome(name: str) -> None: ...

    await welcome.using(id="before").enqueue("eve")
    one = welcome.using(id="one", unique=None if unique is None else Unique(unique))
    shop.proxy.lose_commit(loss, of=f"insert into {shop.schema}.message")
    with pytest.raises(PublishUnknown, match="retry with the same id"):
        await one.enqueue("sam")
    assert len(shop.proxy.lost) == 1
    job = await one.enqueue("sam")
    assert job.created == (loss == "request")
    assert shop.jobs() == ["before", "one"]


async def test_events_are_unknown_and_then_there_once(shop: Shop, loss: Loss) -> None:
    paid = shop.app.topic("orders", Paid)
    await paid.using(id="before").publish(Paid(1))
    shop.proxy.lose_commit(loss, of=f"insert into {shop.schema}.event")
    with pytest.raises(PublishUnknown):
        await paid.using(id="one").publish(Paid(2))
    await paid.using(id="one").publish(Paid(2))
    assert shop.rows(f"select id from {shop.schema}.event order by pos") == [("before",), ("one",)]


async def test_a_transaction_is_unknown_and_its_job_tells(shop: Shop, loss: Loss) -> None:
    """Who wants to know looks for what it would have left."""

    @shop.app.task()
    async def welcome(name: str) -> None: ...

    async def sign_up() -> bool:
        async with shop.app.transaction() as tx:
            job = await welcome.using(id="one", tx=tx).enqueue("sam")
            if created := job.created:
                await tx.execute(f"insert into {shop.effects} (n) values (1)")
        return created

    shop.proxy.lose_commit(loss, of=f"insert into {shop.effects}")
    with pytest.raises(PublishUnknown, match="look whether it is there"):
        await sign_up()
    assert await sign_up() == (loss == "request")
    assert (shop.done(), shop.jobs()) == ([1], ["one"])


CARRIERS = ["asyncpg", "psycopg", "asyncpg engine", "psycopg engine", "sync engine"]


@pytest.fixture(params=CARRIERS)
async def carried(request: pytest.FixtureRequest, shop: Shop) -> AsyncIterator[tuple[Shop, bool]]:
    """A shop whose handlers' transactions are carried so, and whether these block a thread."""
    driver, _, engine = request.param.partition(" ")
    if not engine:
        yield shop, driver == "psycopg"
        return
    made, dispose = engine_on(shop.proxy.url, driver)
    shop.use(App(shop.url, name="shop", transactions=made))
    yield shop, driver == "sync"
    await shop.app.close()
    await dispose()


def behind_a_pooler(url: str, **connect: Any) -> AsyncEngine:
    """On asyncpg: a server's statements are nobody's, so their names must not meet, and none is kept."""
    names = {"prepared_statement_name_func": lambda: f"mine_{secrets.token_hex(8)}", "statement_cache_size": 0}
    return create_async_engine(f"{url}?prepared_statement_cache_size=0", connect_args={**names, **connect})


def engine_on(url: str, driver: str) -> tuple[Any, Callable[[], Awaitable[None]]]:
    """As SQLAlchemy's documentation has it for poolers."""
    bare, _, options = url.partition("?")
    if driver == "asyncpg":
        made = behind_a_pooler(bare.replace("://", "+asyncpg://"), ssl=False)
        return made, made.dispose
    url = f"{bare.replace('://', '+psycopg://')}?{options}"
    if driver == "psycopg":
        made = create_async_engine(url, connect_args={"prepare_threshold": None})
        return made, made.dispose
    engine = create_engine(url, connect_args={"prepare_threshold": None})
    return engine, lambda: asyncio.to_thread(engine.dispose)


@pytest.mark.parametrize("loss", ["request", "reply"])
async def test_a_handlers_transaction_takes_effect_once(carried: tuple[Shop, bool], loss: Loss) -> None:
    shop, blocks = carried
    insert, attempts = f"insert into {shop.effects} (n) values (:n)", list[int]()

    @shop.app.task(retry=ONCE)
    async def follow() -> None: ...

    @shop.app.task(retry=ONCE)
    async def awaits(ctx: Context, tx: Transaction, n: int) -> None:
        attempts.append(ctx.attempt)
        await tx.execute(insert, n=n)
        await follow.enqueue()

    @shop.app.task(retry=ONCE)
    def waits(ctx: Context, tx: Transaction, n: int) -> None:
        attempts.append(ctx.attempt)
        tx.sync.execute(insert, n=n)
        follow.sync.enqueue()

    effect: Any = waits if blocks else awaits
    shop.proxy.lose_commit(loss, of=f"insert into {shop.effects}")
    async with shop.app.worker() as worker:
        job = await effect.enqueue(1)
        await job.result(timeout=PATIENCE)
        await worker.idle()
    assert [lost.what for lost in shop.proxy.lost] == [loss]
    assert any(isinstance(error, PublishUnknown) for error in shop.troubles)
    assert shop.done() == [1]
    assert len(shop.jobs()) == 2
    assert attempts == ([1, 1] if loss == "request" else [1])


async def test_a_job_that_was_settled_is_not_run_again(shop: Shop, loss: Loss) -> None:
    ran: list[int] = []

    @shop.app.task(retry=ONCE)
    async def run(n: int) -> None:
        ran.append(n)

    shop.proxy.lose_commit(loss, of=f"insert into {shop.schema}.finished")
    async with shop.app.worker() as worker:
        job = await run.enqueue(1)
        await job.result(timeout=PATIENCE)
        await worker.idle()
    assert [lost.what for lost in shop.proxy.lost] == [loss]
    assert ran == [1]
    assert await job.status() == "done"


class Storm:
    """Cuts connections by chance: of requests, of replies, of those in the middle of a transaction too. Until somebody has
    not known what became of a put, every other reply to one is cut: the first one only says that it is prepared."""

    def __init__(self, seed: int, share: float, unknown: Sequence[int]) -> None:
        self._chance, self._share, self._unknown = random.Random(seed), share, unknown
        self._puts = 0

    def __call__(self, statements: Sequence[str]) -> Loss | None:
        if not self._unknown and any("message (" in each for each in statements):
            self._puts += 1
            return None if self._puts % 2 else "reply"
        if self._chance.random() >= self._share:
            return None
        return self._chance.choice(["request", "reply", "half a reply"])


JOBS = 500


async def test_whatever_is_cut_nothing_is_lost_and_nothing_done_twice(shop: Shop) -> None:
    insert, unknown = f"insert into {shop.effects} (n) values (:n)", list[int]()

    @shop.app.task()
    async def awaits(tx: Transaction, n: int) -> None:
        await tx.execute(insert, n=n)

    @shop.app.task()
    def waits(tx: Transaction, n: int) -> None:
        tx.sync.execute(insert, n=n)

    async def produce(lane: int) -> None:
        for n in range(lane, JOBS, 8):
            task = waits if n % 4 == 0 else awaits
            while True:
                try:
                    await task.using(id=f"job-{n}", key=f"key-{n % 8}" if n % 3 == 0 else None).enqueue(n)
                except PublishUnknown:
                    unknown.append(n)
                except StoreUnavailable:
                    await asyncio.sleep(0)
                else:
                    break

    async with shop.app.worker():
        shop.proxy.rule = Storm(1, 0.02, unknown)
        await asyncio.gather(*(produce(lane) for lane in range(8)))
        await until(lambda: shop.are_done(JOBS), "all effects", PATIENCE)
        shop.proxy.rule = nothing
    assert shop.done() == list(range(JOBS))
    assert sorted(shop.jobs()) == sorted(f"job-{n}" for n in range(JOBS))
    assert len(shop.proxy.lost) > 20
    assert len(unknown) > 0
