"""Behind a pooler in transaction mode nothing is left in a session: it is somebody else's in the next transaction."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncpg
import psycopg
import pytest

from penstock import App, Transaction
from penstock.connect import administration
from penstock.testing.conformance.ground import until

SERVERS = 20
"""As many as the pooler has for one database."""
LEFT = """
    select
        (select count(*) from pg_prepared_statements where statement <> $1),
        (select count(*) from pg_listening_channels()),
        (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),
        (select count(*) from pg_class where relpersistence = 't'),
        (
            select string_agg(name || ' = ' || setting, ', ')
            from pg_settings
            where source = 'session' and name <> 'client_encoding' and (name <> 'jit' or setting <> reset_val)
        )
"""
"""asyncpg sets jit off while it looks at types, and then as it was; the pooler keeps track of client_encoding."""


@pytest.fixture
async def url(pooled_url: str) -> AsyncIterator[str]:
    """Of a store of its own. The pooler forgets its servers, so that what is found in them is ours."""
    schema = f"pooled_{secrets.token_hex(4)}"
    with psycopg.connect(pooled_url, autocommit=True, prepare_threshold=None) as connection:
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'pooled' and pid <> pg_backend_pid()")
    yield f"{pooled_url}?schema={schema}"
    with psycopg.connect(pooled_url, autocommit=True, prepare_threshold=None) as connection:
        connection.execute(f"drop schema if exists {schema} cascade".encode())


async def left(url: str) -> list[tuple[object, ...]]:
    """What each of the pooler's servers has kept."""
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(SERVERS):
            connection = await asyncpg.connect(url.partition("?")[0], statement_cache_size=0)
            stack.push_async_callback(connection.close)
            await stack.enter_async_context(connection.transaction())
            found.append((await connection.fetchval("select pg_backend_pid()"), *await connection.fetchrow(LEFT, LEFT)))
    assert len({row[0] for row in found}) == SERVERS
    return [row for row in found if row[1:] != (0, 0, 0, 0, None)]


async def test_a_worker_leaves_nothing(url: str) -> None:
    await asyncio.to_thread(administration(url).migrate)
    app, ran = App(url, name="pooled"), list[int]()

    @app.task()
    async def awaits(tx: Transaction, n: int) -> None:
        await tx.execute("select cast(:n as int)", n=n)
        ran.append(n)

    @app.task()
    def blocks(tx: Transaction, n: int) -> None:
        tx.sync.execute("select cast(:n as int)", n=n)
        ran.append(n)

    async with app.worker():
        await asyncio.gather(*(task.enqueue(n) for n in range(100) for task in (awaits, blocks)))
        await until(lambda: len(ran) == 200, "all ran")
    await app.close()
    assert await left(url) == []


async def test_commands_leave_nothing(url: str) -> None:
    commands = administration(url)
    assert (await asyncio.to_thread(commands.migrate)).found == commands.schema().needed
    assert commands.script() == ""
    assert commands.ready() == "no worker is alive: start one with `penstock worker module:app`"
    assert "PostgreSQL" in commands.facts().engine
    assert await left(url) == []
