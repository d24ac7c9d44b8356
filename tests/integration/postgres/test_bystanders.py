"""A user's transaction stays open, and has put, published or appended: whom else it keeps waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import pytest

from penstock.errors import StoreUnavailable
from penstock.model.delivery import Settlement
from penstock.model.log import Event, TopicSpec
from penstock.model.message import Placed
from penstock.model.outcome import Done
from penstock.observe.signals import Signals
from penstock.stores.postgres.address import parse
from penstock.stores.postgres.store import PostgresStore
from penstock.testing.conformance.ground import until
from tests.integration.postgres.client import FACTS, Connect, appended
from tests.integration.postgres.play import Worker, message
from tests.integration.postgres.test_put import named

T = TypeVar("T")
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


@pytest.fixture
async def store(worker: Worker, postgres_url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(parse(postgres_url, "a server"), signals=Signals())
    await store.open()
    yield store
    await store.close()


async def waits(store: PostgresStore, program: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Begun, and off the lane."""
    assert store._parts is not None
    siding = store._parts.writer._siding
    before = len(siding._running)
    task = asyncio.create_task(program)
    await until(lambda: task.done() or len(siding._running) > before, "it is set aside")
    return task


@pytest.mark.parametrize("ends", ["commit", "rollback"])
async def test_a_put_that_waits_keeps_no_other_waiting(store: PostgresStore, user: Worker, ends: str) -> None:
    await user.client.execute("begin")
    await user.put(named("a"))
    late = await waits(store, store.queue.put([named("b")]))
    assert await store.queue.put([message("c")]) == [Placed("c")]
    assert not late.done()
    await user.client.execute(ends)
    assert await late == [Placed("a", created=False) if ends == "commit" else Placed("b")]


async def test_of_a_group_only_who_needs_it_waits(store: PostgresStore, user: Worker) -> None:
    await user.client.execute("begin")
    await user.put(message("a", given=True))
    late, *others = (asyncio.create_task(store.queue.put([message(id, given=True)])) for id in ("a", "b", "c"))
    assert await asyncio.gather(*others) == [[Placed("b")], [Placed("c")]]
    assert not late.done()
    await user.client.execute("commit")
    assert await late == [Placed("a", created=False)]


async def test_an_append_to_another_key_does_not_wait(store: PostgresStore, user: Worker) -> None:
    await user.client.execute("begin")
    await user.client.append(appended("k", ["e1"]))
    late = await waits(store, store.log.append(appended("k", ["e2"])))
    assert await store.log.append(appended("l", ["e3"])) == 1
    await user.client.execute("commit")
    assert await late == 2


async def test_a_topic_that_a_user_makes_is_waited_for_by_who_needs_it(store: PostgresStore, user: Worker) -> None:
    await user.client.execute("begin")
    new = TopicSpec("new")
    await user.client.publish("e1", topic=new)
    late = await waits(store, store.log.publish(new, [Event("e2", "e", b"")]))
    assert await store.log.publish(FACTS, [Event("e3", "e", b"")]) == [Placed("e3")]
    await user.client.execute("rollback")
    assert await late == [Placed("e2")]


async def test_who_waits_in_vain_is_told_for_whom(store: PostgresStore, user: Worker) -> None:
    assert store._parts is not None
    store._parts.writer._siding.patience = 0.0
    async with user.client.transaction():
        await user.put(named("a"))
        with pytest.raises(StoreUnavailable, match=rf"put messages: .*pid {user.client.pid}\b.*open for"):
            await store.queue.put([named("b")])


async def test_a_settle_that_waits_keeps_no_other_worker_waiting(store: PostgresStore, worker: Worker, user: Worker) -> None:
    other = await Worker(worker.client, 3).enrol()
    await worker.put(named("a"), message("b"))
    held = {each.job_id: each for each in await worker.claim()}
    await worker.client.execute("update penstock.leased set owner = 3 where seq = $1", held["b"].seq)
    await user.client.execute("begin")
    await user.client.execute("select from penstock.unique for update")
    late = await waits(store, store.queue.settle(worker.owner, [Settlement(held["a"], Done())]))
    assert await store.queue.settle(other.owner, [Settlement(held["b"], Done())]) == []
    assert not late.done()
    await user.client.execute("commit")
    assert await late == []
