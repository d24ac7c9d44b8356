"""A fresh log on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from tests.integration.postgres.client import Client, Connect, create


@pytest.fixture
async def connect(postgres_url: str) -> AsyncIterator[Connect]:
    connections: list[Any] = []

    async def another(schema: str = "penstock", *, strict: bool = False, user: str | None = None) -> Client:
        connections.append(await asyncpg.connect(postgres_url, user=user))
        return Client(connections[-1], schema, strict=strict)

    await create(await another(), "penstock")
    yield another
    await asyncio.gather(*(connection.close() for connection in connections))
