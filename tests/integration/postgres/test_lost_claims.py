"""A claim that commits, and whose reply is lost: its messages are not held for ever by a worker that does not know of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from penstock.errors import StoreError
from penstock.model.delivery import Delivery, Settlement
from penstock.model.outcome import Done, Released
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


HELD = "insert into penstock.leased (owner, seq, claimed) values ($1, $2, 0)"


async def run(store: PostgresStore, sql: str, *params: object) -> None:
    """What a crash would have left."""
    assert store._parts is not None
    pool = store._parts.access.relaxed
    async with pool.lend() as connection:
        await connection.execute(in_schema(sql, pool._address.schema), *params)


def break_all(store: PostgresStore) -> None:
    """The connections that claims are made on."""
    assert store._parts is not None
    free = store._parts.access.relaxed._free
    while free:
        free.pop().terminate()


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


async def test_a_claim_that_a_crash_undid_leaves_nothing_behind(ground: Ground) -> None:
    """It is claimed again, and its end is undone, too: the worker does not take it for what the first claim gave."""
    worker = await ground.worker()
    await ground.put("a")
    (first,) = await worker.claim()
    assert isinstance(worker.store, PostgresStore)
    await run(worker.store, "delete from penstock.leased")
    await run(worker.store, "insert into penstock.ready (queue, rank, seq) values ($1, 0, $2)", first.queue, first.seq)
    (again,) = await worker.claim()
    assert again.seq == first.seq
    assert await worker.settle(again, Done()) == []
    await run(worker.store, "delete from penstock.finished")
    await run(worker.store, HELD, worker.incarnation, first.seq)
    break_all(worker.store)
    assert ids(await worker.claim()) == []  # which connects
    assert ids(await worker.claim()) == [first.job_id]


@pytest.mark.parametrize("how", ["a settle", "a commit"])
@pytest.mark.parametrize("known", [True, False])
async def test_a_claim_that_was_undone_ends_nothing_of_the_next_one(ground: Ground, how: str, known: bool) -> None:
    """Its message may have come again, or another one have its number, and be leased to the same worker: who may not know it yet."""
    worker = await ground.worker()
    await ground.put("a")
    (first,) = again = await worker.claim()
    assert isinstance(worker.store, PostgresStore)
    await run(worker.store, "delete from penstock.leased")
    if known:
        await run(worker.store, "insert into penstock.ready (queue, rank, seq) values ($1, 0, $2)", first.queue, first.seq)
        again = await worker.claim()
        assert again[0].claimed > first.claimed
    else:
        await run(
            worker.store,
            "insert into penstock.leased (owner, seq, claimed) values ($1, $2, $3)",
            worker.incarnation,
            first.seq,
            first.claimed + 1,
        )
    if how == "a commit":
        assert not await worker.commits([first], Done())
    else:
        assert await worker.settle([first, first], Done()) == [first.seq, first.seq]
        assert await worker.settle(first, Released()) == [first.seq]
    assert await ground.status("a") == "running"
    if known:
        assert await worker.settle(again, Done()) == []


@pytest.mark.parametrize("how", ["a settle", "a commit"])
async def test_an_old_end_in_one_batch_with_a_new_one(ground: Ground, how: str) -> None:
    """The claims were compared with the store meanwhile: what was undone is not known any more, and then it is claimed again."""
    worker = await ground.worker()
    await ground.put("a", "b")
    (old,) = await worker.claim(1)
    assert isinstance(worker.store, PostgresStore)
    await run(worker.store, "delete from penstock.leased")
    break_all(worker.store)
    (b,) = await worker.claim()  # which connects
    await worker.end(b, Released())
    await run(worker.store, "insert into penstock.ready (queue, rank, seq) values ($1, 0, $2)", old.queue, old.seq)
    a, b = sorted(await worker.claim(), key=lambda each: each.job_id)
    assert a.seq == old.seq
    if how == "a commit":
        assert not await worker.commits([old, b], Done())
        await worker.end(b, Done())
    else:
        assert await worker.settle([old, b], Done()) == [old.seq]
    assert await ground.status("a") == "running"
    await worker.end(a, Done())


@pytest.mark.parametrize("how", ["done", "released", "released with it"])
async def test_a_cancellation_is_not_dropped_by_the_end_of_a_claim_that_was_undone(ground: Ground, how: str) -> None:
    worker = await ground.worker()
    await ground.put("a")
    (first,) = await worker.claim()
    assert isinstance(worker.store, PostgresStore)
    await run(worker.store, "delete from penstock.leased")
    await run(worker.store, "insert into penstock.ready (queue, rank, seq) values ($1, 0, $2)", first.queue, first.seq)
    break_all(worker.store)
    (again,) = await worker.claim()
    assert await worker.store.queue.cancel("a") == "requested"
    if how == "released with it":
        await worker.store.queue.settle(worker.incarnation, [Settlement(again, Released()), Settlement(first, Released())])
    else:
        assert await worker.settle(first, Done() if how == "done" else Released()) == [first.seq]
        assert await worker.store.queue.cancellations(worker.incarnation) == [first.seq]
        await worker.end(again, Released())
    assert await ground.status("a") == "cancelled"
    assert await worker.claim() == []


async def test_ends_of_several_claims_lock_their_keys_in_one_order(ground: Ground, postgres_url: str) -> None:
    """The order of all others, not that of the claims: another one has the first key, and then wants the last one."""
    worker = await ground.worker()
    held: list[Delivery] = []
    for key in ("z", "a"):
        await ground.put(f"{key}1", key=key)
        held += await worker.claim()
    assert isinstance(worker.store, PostgresStore) and worker.store._parts is not None
    worker.store.queue._doubts[worker.incarnation].doubt()
    lock = in_schema("select 1 from penstock.busy where key = $1 for update", worker.store._parts.access.relaxed._address.schema)
    other = await asyncpg.connect(postgres_url)
    try:
        async with other.transaction():
            await other.fetch(lock, "a")
            commit = asyncio.create_task(worker.commits(held, Done()))
            while not await other.fetchval("select count(*) from pg_locks where not granted"):
                assert not commit.done()
            await other.fetch(lock, "z", timeout=10)
        assert await commit
    finally:
        await other.close()


async def test_a_settle_that_is_tried_again_does_not_end_the_next_claim(ground: Ground) -> None:
    """It was written, and its reply was lost; then the same worker claimed what it had given back."""
    worker = await ground.worker()
    await ground.put("a")
    (first,) = await worker.claim()
    assert await worker.settle(first, Released()) == []
    (again,) = await worker.claim()
    assert await worker.settle(first, Released()) == [first.seq]
    assert ids(await worker.claim()) == []
    await worker.end(again, Done())


async def test_a_claim_whose_reply_was_lost_is_given_back_though_an_earlier_one_is_known(ground: Ground) -> None:
    worker = await ground.worker()
    await ground.put("a")
    (first,) = await worker.claim()
    assert isinstance(worker.store, PostgresStore)
    await run(worker.store, "update penstock.leased set claimed = claimed + 1")
    break_all(worker.store)
    assert ids(await worker.claim()) == []  # which connects
    assert ids(await worker.claim()) == [first.job_id]


@pytest.mark.parametrize("how", ["a settle", "a commit"])
async def test_an_end_that_a_crash_undid_is_found_when_somebody_connects_anew(ground: Ground, how: str) -> None:
    """Settles are not flushed, commits not where `durability` says "process". The rows are put back as a recovery would have them."""
    worker = await ground.worker()
    await ground.put("a", "b")
    first, second = await worker.claim()
    await (worker.commit if how == "a commit" else worker.end)(first, Done())
    assert isinstance(worker.store, PostgresStore)
    await run(worker.store, "delete from penstock.finished")
    await run(worker.store, HELD, worker.incarnation, first.seq)
    assert ids(await worker.claim()) == []
    break_all(worker.store)
    assert ids(await worker.claim()) == []  # which connects
    assert ids(await worker.claim()) == [first.job_id]
    assert await worker.settle(second, Done()) == []
