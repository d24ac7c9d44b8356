"""Ending in the middle of something: nothing is left that a loop which closes would complain of."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from penstock.errors import StoreUnavailable
from penstock.stores.postgres import pool as pools
from penstock.stores.postgres.address import parse
from penstock.stores.postgres.pool import Pool
from penstock.testing.conformance.ground import until

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


@pytest.mark.parametrize("take", [Pool.connect, Pool.start])
@pytest.mark.parametrize("noticed", [False, True])
async def test_a_connection_that_ends_before_its_first_statement_is_a_store_that_is_away(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, noticed: bool, take: Callable[[Pool], Awaitable[object]]
) -> None:
    """`noticed`: its end has been read by then, and asyncpg says so in another way."""
    pool, connect = Pool(parse(postgres_url, "here")), pools.connect

    async def short(*arguments: Any, **options: Any) -> Any:
        connection = await connect(*arguments, **options)
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute("select pg_terminate_backend(%s, 5000)", [connection.get_server_pid()])
        if noticed:
            await until(connection.is_closed, "its end to be read")
        return connection

    monkeypatch.setattr(pools, "connect", short)
    with pytest.raises(StoreUnavailable, match="connect to here"):
        await take(pool)
    await pool.close()
