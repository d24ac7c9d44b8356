"""Which transaction an enqueue joins."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from penstock import App, Task, Transaction
from penstock.errors import ConfigurationError
from penstock.ports.transaction import ambient
from tests.unit.api.scripted import ScriptedStore, ScriptedTransaction, attach


@pytest.fixture
def store(app: App) -> ScriptedStore:
    return attach(app, ScriptedStore())


@pytest.fixture
def send(app: App) -> Task[[int], None]:
    @app.task()
    async def send(a: int) -> None: ...

    return send


@contextmanager
def inside_a_handler(store: ScriptedStore, tx: ScriptedTransaction) -> Iterator[None]:
    """As the engine does for a handler that asked for `tx`."""
    token = ambient.set((store, tx))  # type: ignore[arg-type]
    try:
        yield
    finally:
        ambient.reset(token)


async def test_in_a_handler_with_tx_an_enqueue_joins_by_itself(app: App, store: ScriptedStore, send: Task[[int], None]) -> None:
    tx = ScriptedTransaction("handler")
    with inside_a_handler(store, tx):
        await send.enqueue(1)
        await app.enqueue_many([send.bind(2), send.bind(3)])
        await asyncio.create_task(send.enqueue(4))
    await send.enqueue(5)
    assert tx.put_by == [("put", "shop.send")] * 4
    assert [message.body for message in store.messages] == [b'{"a":5}']


async def test_the_handler_of_another_app_is_not_joined(store: ScriptedStore, send: Task[[int], None]) -> None:
    tx = ScriptedTransaction("handler")
    with inside_a_handler(ScriptedStore(), tx):
        await send.enqueue(1)
    assert (len(store.messages), tx.put_by) == (1, [])


async def test_tx_none_opts_out_before_the_first_statement(store: ScriptedStore, send: Task[[int], None]) -> None:
    tx = ScriptedTransaction("handler")
    with inside_a_handler(store, tx):
        await send.using(tx=None).enqueue(1)
        tx.started = True
        with pytest.raises(ConfigurationError, match="would wait for the lock that the tx holds"):
            await send.using(tx=None).enqueue(2)
    assert (len(store.messages), tx.put_by) == (1, [])


async def test_a_transaction_of_the_app_is_joined_when_it_is_said(app: App, store: ScriptedStore, send: Task[[int], None]) -> None:
    async with app.transaction() as tx:
        await send.using(tx=tx).enqueue(1)
        await send.using(tx=tx.sync).enqueue(2)
        await send.enqueue(3)
        store.begun[0].started = True
        with pytest.raises(ConfigurationError, match=r"join it with using\(tx=tx\)"):
            await send.enqueue(4)
        with pytest.raises(ConfigurationError, match=r"join it with using\(tx=tx\)"):
            await send.using(tx=None).enqueue(4)
        await send.using(tx=tx).enqueue(5)
    await send.enqueue(6)
    assert store.begun[0].put_by == [("put", "shop.send")] * 3
    assert store.begun[0].ends == ["commit"]
    assert [message.body for message in store.messages] == [b'{"a":3}', b'{"a":6}']


async def test_a_block_in_between_does_not_hide_the_lock(app: App, store: ScriptedStore, send: Task[[int], None]) -> None:
    """Another database's, one that has ended, and one whose first statement is to come."""
    other = App(name="other")
    attach(other, ScriptedStore(url="sqlite:///other.db"))
    ended = asyncio.Event()

    async def later() -> None:
        await ended.wait()
        await send.enqueue(1)

    async with app.transaction():
        store.begun[0].started = True
        async with other.transaction():
            with pytest.raises(ConfigurationError, match=r"join it with using\(tx=tx\)"):
                await send.enqueue(1)
        async with app.transaction():
            with pytest.raises(ConfigurationError, match=r"join it with using\(tx=tx\)"):
                await send.enqueue(1)
            task = asyncio.create_task(later())
        ended.set()
        with pytest.raises(ConfigurationError, match=r"join it with using\(tx=tx\)"):
            await task
    assert store.messages == []


async def test_an_exception_rolls_back(app: App, store: ScriptedStore) -> None:
    with pytest.raises(KeyError):
        async with app.transaction():
            raise KeyError
    assert store.begun[0].ends == ["rollback"]


async def test_a_transaction_inside_another_is_a_savepoint(app: App, store: ScriptedStore) -> None:
    tx = ScriptedTransaction("handler")
    with inside_a_handler(store, tx):
        async with app.transaction() as inner:
            assert inner._inner.name == "savepoint of handler"  # type: ignore[attr-defined]
    assert tx.ends == ["savepoint"]
    async with app.transaction(), app.transaction() as inner:
        assert inner._inner.name == "savepoint of tx 0"  # type: ignore[attr-defined]
    async with app.transaction():
        pass
    assert [begun.ends for begun in store.begun] == [["savepoint", "commit"], ["commit"]]


async def test_in_a_block_of_a_handler_an_enqueue_joins_the_block(app: App, store: ScriptedStore, send: Task[[int], None]) -> None:
    tx = ScriptedTransaction("handler")
    with inside_a_handler(store, tx):
        async with app.transaction() as block:
            await send.enqueue(1)
            async with app.transaction() as inner:
                await asyncio.create_task(send.enqueue(2))
            await send.enqueue(3)
        await send.enqueue(4)
    assert [_puts(each) for each in (block, inner)] == [2, 1]
    assert len(tx.put_by) == 1
    assert _name(inner) == "savepoint of savepoint of handler"


async def test_a_task_that_outlives_a_block_of_a_handler_joins_what_is_around_it(
    app: App, store: ScriptedStore, send: Task[[int], None]
) -> None:
    tx = ScriptedTransaction("handler")
    ended = asyncio.Event()

    async def later() -> None:
        await ended.wait()
        await send.enqueue(1)

    with inside_a_handler(store, tx):
        async with app.transaction() as outer:
            async with app.transaction():
                task = asyncio.create_task(later())
            ended.set()
            await task
    assert (_puts(outer), tx.put_by) == (1, [])


async def test_a_handler_that_runs_inside_of_a_block_joins_its_own(app: App, store: ScriptedStore, send: Task[[int], None]) -> None:
    """A worker that was started in a block hands the block's context on."""
    tx = ScriptedTransaction("handler")
    async with app.transaction() as block:
        with inside_a_handler(store, tx):
            await send.enqueue(1)
            async with app.transaction() as inner:
                assert _name(inner) == "savepoint of handler"
    assert (_puts(block), len(tx.put_by)) == (0, 1)


def _puts(tx: Transaction) -> int:
    return len(tx._inner.put_by)  # type: ignore[attr-defined]


def _name(tx: Transaction) -> str:
    return str(tx._inner.name)  # type: ignore[attr-defined]


async def test_a_task_that_outlives_a_block_is_free_of_it(app: App, store: ScriptedStore, send: Task[[int], None]) -> None:
    ended = asyncio.Event()

    async def later() -> None:
        await ended.wait()
        await send.enqueue(1)
        async with app.transaction():
            pass

    async with app.transaction():
        store.begun[0].started = True
        task = asyncio.create_task(later())
    ended.set()
    await task
    assert len(store.messages) == 1
    assert len(store.begun) == 2


async def test_the_transaction_of_another_app_is_refused(app: App, store: ScriptedStore, send: Task[[int], None]) -> None:
    other = App(name="other")
    attach(other, ScriptedStore())
    async with other.transaction() as tx:
        with pytest.raises(ConfigurationError, match="belongs to another app"):
            await send.using(tx=tx).enqueue(1)


async def test_whatever_the_store_can_join_is_joined_where_it_is(store: ScriptedStore, send: Task[[int], None]) -> None:
    session = object()
    await send.using(tx=session).enqueue(1)
    assert store.joined[id(session)].put_by == [("put", "shop.send")]
    await asyncio.to_thread(send.using(tx=session).sync.enqueue, 2)
    assert store.joined[id(session)].put_by[1:] == [("put_now", "shop.send")]


async def test_on_a_thread_what_joins_is_written_by_that_thread(store: ScriptedStore, send: Task[[int], None]) -> None:
    await send.enqueue(0)
    tx = ScriptedTransaction("handler")
    with inside_a_handler(store, tx):
        await asyncio.to_thread(send.sync.enqueue, 1)
    assert tx.put_by == [("put_now", "shop.send")]


async def test_calls_of_one_batch_go_to_one_place(app: App, store: ScriptedStore, send: Task[[int], None]) -> None:
    elsewhere: Any = App(name="other").task(name="other")(lambda a: None)
    with pytest.raises(ConfigurationError, match="belong to several apps"):
        await app.enqueue_many([send.bind(1), elsewhere.bind(1)])
    with pytest.raises(ConfigurationError, match="go to several transactions"):
        await app.enqueue_many([send.bind(1), send.using(tx=None).bind(1)])
    assert store.messages == []
