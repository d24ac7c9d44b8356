"""A user's transaction stays open, and has put, published or appended: whom else it keeps waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from penstock.observe.signals import Signals
from penstock.stores.postgres.address import parse
from penstock.stores.postgres.store import PostgresStore
from tests.integration.postgres.client import Client, Connect
from tests.integration.postgres.play import Worker
from tests.integration.postgres.test_put import named

SOON = "set lock_timeout = '5s'"
"""Whoever waits in vain is told."""


@pytest.fixture
async def worker(connect: Connect) -> Worker:
    return await Worker(await connect(), 1).enrol()


@pytest.fixture
async def user(connect: Connect) -> Worker:
    return Worker(await connect(), 2)


async def test_a_refused_name_keeps_no_settle_waiting(worker: Worker, user: Worker) -> None:
    await worker.write_put(named("a"))
    held = await worker.claim()
    await worker.client.execute(SOON)
    async with user.client.transaction():
        assert [(one.id, one.created) for one in await user.put(named("b"))] == [("a", False)]
        await worker.done(held)
    assert [one.created for one in await user.put(named("c"))] == [True]
