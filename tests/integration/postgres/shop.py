"""A database for the tests of transactions."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from sqlalchemy.ext.asyncio import create_async_engine

from penstock import App
from penstock.connect import administration


class Shop:
    """A database with a schema for Penstock's tables and the user's."""

    def __init__(self, url: str) -> None:
        self.bare, self.schema = url, f"shop_{secrets.token_hex(4)}"
        self.url = f"{url}?schema={self.schema}&options=-csearch_path%3D{self.schema}"
        self._apps: list[App] = []

    def app(self, **options: Any) -> App:
        self._apps.append(App(self.url, name="shop", **options))
        return self._apps[-1]

    def engine_url(self, driver: str) -> str:
        return self.bare.replace("postgresql://", f"postgresql+{driver}://")

    def rows(self, sql: str) -> list[Any]:
        with psycopg.connect(self.bare, options=f"-csearch_path={self.schema}") as connection:
            return connection.execute(sql.encode()).fetchall()

    async def close(self) -> None:
        for app in self._apps:
            await app.close()
        with psycopg.connect(self.bare, autocommit=True) as connection:
            connection.execute("set lock_timeout = 5000")
            connection.execute(f"drop schema {self.schema} cascade".encode())


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Shop]:
    """With a table of users."""
    shop = Shop(url)
    administration(shop.url).migrate()
    with psycopg.connect(shop.bare, options=f"-csearch_path={shop.schema}") as connection:
        connection.execute("create table users (name text)")
    yield shop
    await shop.close()


def async_engine(shop: Shop, driver: str) -> Any:
    settings = {"server_settings": {"search_path": shop.schema}} if driver == "asyncpg" else {"options": f"-csearch_path={shop.schema}"}
    return create_async_engine(shop.engine_url(driver), connect_args=settings)
