"""Batch tasks on a real store."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from penstock import App, Context, DeadLetter, PartialFailure, Reject, Retry, Transaction, WorkerOptions
from penstock.errors import JobFailed
from tests.integration.play import rows as look
from tests.integration.play import until

ONCE = Retry(attempts=1)


async def statuses(app: App, ids: list[str]) -> list[str]:
    return [await app.job(id).status() for id in ids]


async def test_many_jobs_are_few_calls(shop: App) -> None:
    calls: list[list[int]] = []

    @shop.batch_task(size=100)
    async def index(rows: list[int]) -> None:
        calls.append(rows)

    jobs = await shop.enqueue_many(index.bind(n) for n in range(1_000))
    async with shop.worker() as worker:
        await worker.idle()
    assert sorted(n for rows in calls for n in rows) == list(range(1_000)) and len(calls) == 10
    assert set(await statuses(shop, [job.id for job in jobs])) == {"done"}
    assert await jobs[0].result() is None


async def test_a_single_slot_takes_whole_batches(shop: App) -> None:
    calls: list[int] = []

    @shop.batch_task(size=50, wait=0)
    async def index(rows: list[int]) -> None:
        calls.append(len(rows))

    await shop.enqueue_many(index.bind(n) for n in range(200))
    async with shop.worker(WorkerOptions(concurrency=1)) as worker:
        await worker.idle()
    assert calls == [50] * 4


async def test_a_poison_row_fails_alone(shop: App) -> None:
    buried: list[str] = []

    @shop.batch_task(size=10, retry=ONCE)
    def index(ctx: Context, rows: list[int]) -> None:
        if 3 in rows:
            raise ValueError(f"bad row, one of {len(rows)}, attempt {ctx.attempt}")

    @index.on_dead
    def bury(letter: DeadLetter) -> None:
        buried.append(f"{letter.arguments['row']}: {letter.attempts}")

    jobs = await shop.enqueue_many(index.bind(n) for n in range(10))
    async with shop.worker() as worker:
        await worker.idle()
    assert await statuses(shop, [job.id for job in jobs]) == ["done"] * 3 + ["dead"] + ["done"] * 6
    with pytest.raises(JobFailed, match="bad row, one of 1, attempt 1"):
        await jobs[3].result()
    assert buried == ["3: 1"]


async def test_rows_of_a_key_run_in_order_one_a_batch(shop: App) -> None:
    calls: list[list[int]] = []

    @shop.batch_task(size=10, wait=0)
    async def index(rows: list[int]) -> None:
        calls.append(rows)

    await shop.enqueue_many(index.using(key=f"user:{n % 2}").bind(n) for n in range(8))
    async with shop.worker() as worker:
        await until(shop, lambda: done(shop, 8))
        await worker.idle()
    assert calls == [[0, 1], [2, 3], [4, 5], [6, 7]]


async def done(app: App, count: int) -> bool:
    store = await app._link.opened()
    return sum(queue.done for queue in await store.inspect.queues()) == count


async def test_the_rows_of_a_transaction_commit_with_it(shop: App, fast: Path) -> None:
    async with shop.transaction() as tx:
        await tx.execute("create table product (sku text)")
    calls: list[list[str]] = []

    @shop.task()
    async def announce(sku: str) -> None: ...

    @shop.batch_task(size=4, retry=ONCE)
    async def index(tx: Transaction, rows: list[str]) -> None:
        calls.append(rows)
        for sku in rows:
            await tx.execute("insert into product values (:sku)", sku=sku)
            await announce.enqueue(sku)
        bad = {n: Reject("no such product") for n, sku in enumerate(rows) if sku == "bad"}
        if bad:
            raise PartialFailure(bad)

    jobs = await shop.enqueue_many(index.bind(sku) for sku in ("mug", "bad", "cup", "pot"))
    async with shop.worker() as worker:
        await worker.idle()
    assert calls == [["mug", "bad", "cup", "pot"], ["mug", "cup", "pot"]]
    assert await statuses(shop, [job.id for job in jobs]) == ["done", "dead", "done", "done"]
    assert look(fast / "shop.db", "select sku from product order by rowid") == [("mug",), ("cup",), ("pot",)]
    assert look(fast / "shop.db", "select count(*) from penstock_message where task = 'shop.announce'") == [(3,)]


async def test_an_undecodable_row_is_a_dead_letter_and_the_others_are_done(shop: App, fast: Path) -> None:
    calls: list[list[int]] = []

    @shop.batch_task(size=3)
    async def index(rows: list[int]) -> None:
        calls.append(rows)

    jobs = await shop.enqueue_many(index.bind(n) for n in range(3))
    async with shop.transaction() as tx:
        await tx.execute("update penstock_message set body = :body where id = :id", body=b'{"row":"x"}', id=jobs[1].id)
    async with shop.worker() as worker:
        await worker.idle()
    assert await statuses(shop, [job.id for job in jobs]) == ["done", "dead", "done"]
    assert calls == [[0, 2]]


async def test_a_cancelled_row_of_a_running_batch_that_fails_is_cancelled(shop: App) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    @shop.batch_task(size=2, retry=Retry(first=3_600))
    async def index(rows: list[int]) -> None:
        begun.set()
        await go.wait()
        raise PartialFailure({0: OSError("refused"), 1: OSError("refused")})

    jobs = await shop.enqueue_many(index.bind(n) for n in range(2))
    async with shop.worker() as worker:
        await asyncio.wait_for(begun.wait(), 10)
        assert await jobs[1].cancel() == "requested"
        go.set()
        await worker.idle()
    assert await statuses(shop, [job.id for job in jobs]) == ["retrying", "cancelled"]
