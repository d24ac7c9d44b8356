"""What the transaction thread does when its users go away."""

import asyncio
from pathlib import Path

import pytest

from penstock.observe.signals import Signals
from penstock.stores.sqlite.store import SqliteStore


@pytest.fixture
async def store(tmp_path: Path):
    store = SqliteStore(str(tmp_path / "store.db"), signals=Signals(), tx_limit=60)
    await store.open()
    yield store
    await store.close()


async def test_a_transaction_that_was_given_up_while_it_waited_never_begins(store: SqliteStore) -> None:
    first, second, third = (store.transaction() for _ in range(3))
    await first.execute("create table rows (n)", {})
    waiting = asyncio.ensure_future(second.execute("insert into rows values (2)", {}))
    await asyncio.sleep(0)
    waiting.cancel()
    given_up = asyncio.ensure_future(second.rollback())
    await asyncio.sleep(0)
    await first.commit()
    await asyncio.wait_for(given_up, 10)
    await asyncio.wait_for(third.execute("insert into rows values (3)", {}), 10)
    await third.commit()
    check = store.transaction()
    assert await check.fetch("select n from rows", {}) == [{"n": 3}]
    await check.rollback()
