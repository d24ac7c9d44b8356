"""Whoever waits for the end of a transaction may be cancelled, once or again and again: it ends, and its connection comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest

from penstock import App, Transaction, WorkerOptions
from penstock.model.delivery import Delivery
from penstock.model.outcome import Outcome
from penstock.ports.handler import Next
from penstock.stores.postgres.store import PostgresStore
from penstock.testing.conformance.ground import until
from penstock_faults.site import Site

SLOW = """
create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.3); return null; end $$;
create constraint trigger slow after insert on effects deferrable initially deferred for each row execute function slow();
"""


@pytest.fixture
async def app(postgres_url: str) -> AsyncIterator[App]:
    site = Site.on(postgres_url)
    site.rows("create table effects (n integer)")
    app = App(site.url, name="cancelled")
    try:
        yield app
    finally:
        await app.close()
        site.drop()


def rooms(store: object) -> int:
    """Transactions that may begin."""
    assert isinstance(store, PostgresStore) and store._parts is not None
    return store._parts.pools[2]._room._value


async def test_requests_whose_deadline_is_over_keep_no_connection(app: App) -> None:
    """As anyio cancels: again at each await, until its scope is left."""
    async with app.transaction() as tx:
        await tx.execute("select 1")
    store = await app._link.opened()
    before = rooms(store)
    for _ in range(3):
        with anyio.move_on_after(0.05):
            async with app.transaction() as tx:
                await tx.execute("select 1")
                await anyio.sleep_forever()
    async with asyncio.timeout(10):
        async with app.transaction() as tx:
            await tx.execute("select 1")
    await until(lambda: rooms(store) == before, "what was cancelled while it began to be undone")


async def test_a_nested_block_whose_deadline_is_over_leaves_nothing(app: App) -> None:
    """What undoes it is new to the connection, so it takes two round trips, and is cancelled between them."""
    async with app.transaction() as tx:
        await tx.execute("insert into effects values (1)")
        with anyio.move_on_after(0.1):
            async with app.transaction() as inner:
                await inner.execute("insert into effects values (666)")
                await anyio.sleep_forever()
        await tx.execute("insert into effects values (2)")
    async with app.transaction() as tx:
        assert [row["n"] for row in await tx.fetch("select n from effects order by n")] == [1, 2]


async def strictly(delivery: Delivery, next: Next) -> Outcome:
    async with asyncio.timeout(0.1):
        return await next(delivery)


async def leniently(delivery: Delivery, next: Next) -> Outcome:
    with anyio.move_on_after(0.1):
        return await next(delivery)
    raise TimeoutError


@pytest.mark.parametrize("stage", [strictly, leniently])
async def test_a_stage_that_stops_waiting_does_not_stop_a_commit(app: App, stage: Callable[[Delivery, Next], Awaitable[Outcome]]) -> None:
    @app.task()
    async def effect(tx: Transaction, n: int) -> None:
        await tx.execute("insert into effects (n) values (:n)", n=n)

    app.use(stage)
    site = await app._link.opened()
    async with app.transaction() as tx:
        for statement in SLOW.strip().split("\n"):
            await tx.execute(statement)
    before = rooms(site)
    async with app.worker(WorkerOptions(concurrency=3)):
        jobs = [await effect.enqueue(n) for n in range(3)]
        async with asyncio.timeout(30):
            for job in jobs:
                await job.result()
    async with app.transaction() as tx:
        found = await tx.fetch("select n from effects order by n")
    assert [row["n"] for row in found] == [0, 1, 2]
    assert rooms(site) == before
