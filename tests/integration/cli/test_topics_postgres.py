"""Topics on PostgreSQL: their positions have gaps, and an open transaction may hold their feeds back."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from penstock import App
from penstock.connect import administration
from tests.integration.cli.console import Console


@dataclass
class OrderPlaced:
    order: str


class Shop:
    def __init__(self, url: str, schema: str, folder: Path) -> None:
        self.bare, self.schema, self.url = url, schema, f"{url}?schema={schema}"
        self.app = App(self.url, name="shop")
        self.orders = self.app.topic("orders", OrderPlaced)
        self.others = self.app.topic("others", OrderPlaced)
        self.console = Console(folder, self.url)


@pytest.fixture
async def shop(postgres_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    shop = Shop(postgres_url, f"shop_{secrets.token_hex(4)}", tmp_path)
    administration(shop.url).migrate()
    yield shop
    await shop.app.close()
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(f"drop schema {shop.schema} cascade")
    await connection.close()


async def test_the_newest_events_are_shown_whatever_lies_between_them(shop: Shop) -> None:
    for n in range(5):
        await shop.orders.publish(OrderPlaced(f"o-{n}"))
        await shop.others.publish_many([OrderPlaced("x")] * 20)
    shown = shop.console.json("topics", "show", "orders", "--limit", "3")["events"]
    assert [each["event"]["order"] for each in shown] == ["o-2", "o-3", "o-4"]
    behind = shop.console.json("topics", "show", "orders", "--limit", "3", "--after", "1")["events"]
    assert [each["event"]["order"] for each in behind] == ["o-1", "o-2", "o-3"]


async def test_who_holds_the_feeds_back_is_said(shop: Shop) -> None:
    @shop.app.subscribe(shop.orders)
    async def ship(order: OrderPlaced) -> None: ...

    await shop.orders.publish(OrderPlaced("o-1"))
    async with shop.app.worker():
        for command in (("topics", "ls"), ("subscriptions", "ls")):
            assert shop.console.json(*command)["held_back"] is None
        forgotten = await asyncpg.connect(shop.bare, server_settings={"application_name": "importer"})
        async with forgotten.transaction():
            await shop.orders.using(tx=forgotten).publish(OrderPlaced("o-2"))
            pid = forgotten.get_server_pid()
            await until_old(shop, pid)
            words = rf"feeds are held back at position 1 for \d+ s by pid {pid} \(importer, idle in transaction\)"
            for command in (("topics", "ls"), ("subscriptions", "ls")):
                assert re.search(words, shop.console.ok(*command).err), command
                held = shop.console.json(*command)["held_back"]
                assert (held["pid"], held["position"], held["application"], held["state"]) == (pid, 1, "importer", "idle in transaction")
                assert 1 <= held["seconds"] < 60
            assert re.search(rf"^ready: ok; {words}", shop.console.ok("health", "ready").out)
            assert re.search(words, shop.console.json("health", "ready")["warning"])
        assert shop.console.json("topics", "ls")["held_back"] is None
        assert shop.console.ok("health", "ready").out == "ready: ok\n"
        await forgotten.close()


async def until_old(shop: Shop, pid: int) -> None:
    """Its transaction is older than a second; the server says when."""
    other = await asyncpg.connect(shop.bare)
    age = "select clock_timestamp() - xact_start > interval '1.1 second' from pg_stat_activity where pid = $1"
    while not await other.fetchval(age, pid):
        pass
    await other.close()
