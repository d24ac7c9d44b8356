"""Servers whose `pg_locks` cannot be trusted: all who append to a store do it one after the other, or nobody opens it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from msgspec import Struct

from penstock import App
from penstock.connect import administration
from penstock.errors import ConfigurationError
from penstock.testing.conformance.ground import until
from tests.integration.cli.console import Console


class Placed(Struct):
    order: int


@pytest.fixture
async def url(postgres_url: str) -> AsyncIterator[str]:
    schema = f"strict_{secrets.token_hex(4)}"
    yield f"{postgres_url}?schema={schema}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"drop schema {schema} cascade".encode())


async def test_all_events_arrive(url: str) -> None:
    strict = f"{url}&feed=strict"
    administration(strict).migrate()
    app = App(strict, name="shop")
    orders = app.topic("orders", Placed)
    seen: list[int] = []

    @app.subscribe(orders, name="ship")
    async def ship(event: Placed) -> None:
        seen.append(event.order)

    async with app.worker():
        for number in range(50):
            async with app.transaction() as tx:
                await orders.using(tx=tx).publish(Placed(number))
        await until(lambda: len(seen) == 50, "all events")
    await app.close()
    assert sorted(seen) == list(range(50))


async def test_who_appends_in_another_way_is_refused(url: str, tmp_path: Path) -> None:
    strict = f"{url}&feed=strict"
    administration(url).migrate()
    for migrate in (None, True):
        with pytest.raises(ConfigurationError, match=r"stop all processes that use it, run `penstock store migrate` with this URL"):
            await opened(strict, migrate=migrate)
    await opened(url)
    await asyncio.to_thread(Console(tmp_path, strict).ok, "store", "migrate")
    await opened(strict)
    with pytest.raises(ConfigurationError, match=r"feed is strict: add \?feed=strict"):
        await opened(url)


async def test_the_printed_sql_says_so_too(url: str, postgres_url: str) -> None:
    strict = f"{url}&feed=strict"
    with psycopg.connect(postgres_url) as connection:
        connection.execute(administration(strict).script().encode())
    await opened(strict)


async def test_a_new_store_is_made_strict_by_who_makes_it(url: str) -> None:
    strict = f"{url}&feed=strict"
    await opened(strict, migrate=True)
    await opened(strict)
    with pytest.raises(ConfigurationError, match="feed is strict"):
        await opened(url, migrate=True)


async def opened(url: str, *, migrate: bool | None = None) -> None:
    app = App(url, name="shop", migrate=migrate)
    try:
        await app.topic("orders", Placed).head()
    finally:
        await app.close()
