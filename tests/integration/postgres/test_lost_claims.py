"""A claim that commits, and whose reply is lost: its messages are not held for ever by a worker that does not know of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from penstock.errors import StoreError
from penstock.model.outcome import Done
from penstock.stores.postgres.library import in_schema
from penstock.stores.postgres.store import PostgresStore
from penstock.testing.conformance import Ground
from penstock.testing.conformance.worker import ids
from tests.conformance.postgres_backend import PostgresBackend


@pytest.fixture
async def ground(postgres_url: str) -> AsyncIterator[Ground]:
    backend = PostgresBackend(postgres_url)
    try:
        async with Ground(backend) as ground:
            yield ground
    finally:
        backend.drop()


class Breaking:
    """A connection that breaks when its server has done the deed and before it can say so."""

    def __init__(self, connection: Any, deed: str) -> None:
        self._connection = connection
        self._deed = deed

    async def fetch(self, sql: str, *params: Any) -> Any:
        return await self._then(sql, self._connection.fetch(sql, *params))

    async def execute(self, sql: str) -> Any:
        return await self._then(sql, self._connection.execute(sql))

    def is_closed(self) -> bool:
        return bool(self._connection.is_closed())

    async def _then(self, sql: str, done: Any) -> Any:
        answer = await done
        if sql == self._deed or (self._deed == "a statement" and "leased as (" in sql):
            self._connection.terminate()
            raise ConnectionResetError("the reply was lost")
        return answer


def break_at(store: PostgresStore, deed: str) -> None:
    """The next time."""
    assert store._parts is not None
    pool = store._parts.access.relaxed
    lend = pool.lend

    @asynccontextmanager
    async def breaking() -> AsyncGenerator[Any, None]:
        async with lend() as connection:
            yield Breaking(connection, deed)

    def until_broken() -> Any:
        return breaking()

    pool.lend = until_broken  # type: ignore[method-assign]


def mend(store: PostgresStore) -> None:
    assert store._parts is not None
    del store._parts.access.relaxed.lend


@pytest.mark.parametrize(("key", "deed"), [(None, "a statement"), ("k", "commit")])
async def test_what_nobody_knows_of_comes_again(ground: Ground, key: str | None, deed: str) -> None:
    worker = await ground.worker()
    await ground.put("known", key=key and "another")
    (held,) = await worker.claim()
    await ground.put("a", "b", key=key)
    assert isinstance(worker.store, PostgresStore)
    break_at(worker.store, deed)
    with pytest.raises(StoreError):
        await worker.claim()
    mend(worker.store)
    assert sorted(ids(await worker.claim())) == ["a", "b"]
    assert await worker.settle(held, Done()) == []  # what it knew it still has
    assert (await ground.counters()).running == 2


async def test_an_end_that_a_crash_undid_is_found_when_somebody_connects_anew(ground: Ground) -> None:
    """Settles are not flushed. The rows are put back as a recovery would have them."""
    worker = await ground.worker()
    await ground.put("a", "b")
    first, second = await worker.claim()
    assert await worker.settle(first, Done()) == []
    assert isinstance(worker.store, PostgresStore)
    assert worker.store._parts is not None
    pool = worker.store._parts.access.relaxed
    async with pool.lend() as connection:
        await connection.execute(in_schema("delete from penstock.finished", pool._address.schema))
        sql = in_schema("insert into penstock.leased (owner, seq, claimed) values ($1, $2, 0)", pool._address.schema)
        await connection.execute(sql, worker.incarnation, first.seq)
    assert ids(await worker.claim()) == []
    while pool._free:
        pool._free.pop().terminate()
    assert ids(await worker.claim()) == []  # which connects
    assert ids(await worker.claim()) == [first.job_id]
    assert await worker.settle(second, Done()) == []
