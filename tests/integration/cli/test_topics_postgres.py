"""Topics on PostgreSQL: their positions have gaps, and an open transaction may hold their feeds back."""

from __future__ import annotations

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
