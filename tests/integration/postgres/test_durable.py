"""What is promised to survive power loss is flushed, whatever the server does by default."""

from __future__ import annotations

import secrets

import psycopg
import pytest

from penstock.stores.postgres.address import parse
from penstock.stores.postgres.pool import Pool


@pytest.mark.parametrize(("relaxed", "flushed"), [(False, "on"), (True, "off")])
async def test_a_database_that_flushes_nothing_by_default(postgres_url: str, relaxed: bool, flushed: str) -> None:
    name = f"careless_{secrets.token_hex(4)}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
        connection.execute(f"alter database {name} set synchronous_commit = off".encode())
    pool = Pool(parse(postgres_url.replace("/postgres", f"/{name}"), "here"), relaxed=relaxed)
    async with pool.lend() as one:
        assert await one.fetchval("show synchronous_commit") == flushed
    await pool.close()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"drop database {name}".encode())
