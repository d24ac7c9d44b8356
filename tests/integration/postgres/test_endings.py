"""Ending in the middle of something: nothing is left that a loop which closes would complain of."""

import asyncio
from contextlib import suppress

from penstock.stores.postgres.address import parse
from penstock.stores.postgres.pool import Pool

RUNS = "select count(*) from pg_stat_activity where query = 'select pg_sleep(30)' and state = 'active' and wait_event = 'PgSleep'"


async def test_who_is_cancelled_in_a_statement_leaves_no_task(postgres_url: str) -> None:
    pool = Pool(parse(postgres_url, "here"))

    async def sleep() -> None:
        async with pool.lend() as connection:
            await connection.fetch("select pg_sleep(30)")

    before = asyncio.all_tasks()
    asleep = asyncio.create_task(sleep())
    async with pool.lend() as other:
        while not await other.fetchval(RUNS):
            pass
    asleep.cancel()
    with suppress(asyncio.CancelledError):
        await asleep
    assert asyncio.all_tasks() == before
    await pool.close()
