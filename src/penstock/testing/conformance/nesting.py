"""Savepoints of one transaction: inside each other, and one after the other."""

from __future__ import annotations

import asyncio

import pytest

from penstock.errors import ConfigurationError, TransactionClosed
from penstock.ports.transaction import OpenTransaction
from penstock.testing.conformance.backend import Setup
from penstock.testing.conformance.effects import effects, table
from penstock.testing.conformance.ground import Ground

INSERT = "insert into effects (what) values (:what)"


class NestingConformance:
    async def test_those_of_two_tasks_do_not_undo_each_other(self, store: Ground) -> None:
        """Whichever of them fails, and whenever."""
        worker = await table(store)
        tx = worker.store.transaction()
        await tx.put([store.message("kept back")])

        async def nest(what: str) -> None:
            nested = await tx.savepoint()
            await nested.execute(INSERT, {"what": what})
            await nested.put([store.message(what)])
            await asyncio.sleep(0)
            await (nested.rollback() if what.startswith("undone") else nested.commit())

        await asyncio.gather(*(nest(what) for what in ("a", "undone 1", "b", "undone 2", "undone 3", "c")))
        await tx.commit()
        assert await effects(store) == ["a", "b", "c"]
        assert await worker.drain() == ["kept back", "a", "b", "c"]

    async def test_a_second_one_begins_when_the_first_has_ended(self, store: Ground) -> None:
        await table(store)
        tx = store.store.transaction()
        first = await tx.savepoint()
        await first.execute(INSERT, {"what": "first"})
        second = asyncio.create_task(tx.savepoint())
        inner = await first.savepoint()
        await inner.execute(INSERT, {"what": "inside the first"})
        await inner.commit()
        assert not second.done()
        await first.commit()
        await (await second).execute(INSERT, {"what": "undone"})
        await second.result().rollback()
        await tx.commit()
        assert await effects(store) == ["first", "inside the first"]

    async def test_a_second_one_of_the_same_task_is_refused(self, store: Ground) -> None:
        await table(store)
        tx = store.store.transaction()
        first = await tx.savepoint()
        with pytest.raises(ConfigurationError, match="is open in this very task"):
            await tx.savepoint()
        await first.execute(INSERT, {"what": "first"})
        await first.commit()
        await (await tx.savepoint()).commit()
        await tx.commit()
        assert await effects(store) == ["first"]

    async def test_who_is_cancelled_leaves_the_turn_to_the_next(self, store: Ground) -> None:
        """While it waits for its turn, or for its savepoint."""
        await table(store)
        tx = store.store.transaction()
        first = await tx.savepoint()
        waits, last = (asyncio.create_task(_insert(tx, what)) for what in ("waits", "last"))
        await asyncio.sleep(0)
        waits.cancel()
        await first.commit()
        await last
        opens = asyncio.create_task(_insert(tx, "opens"))
        await asyncio.sleep(0)
        opens.cancel()
        await _insert(tx, "after it")
        await tx.commit()
        assert (waits.cancelled(), opens.cancelled()) == (True, True)
        assert await effects(store) == ["after it", "last"]

    async def test_who_waits_is_told_when_the_transaction_is_over(self, store: Ground) -> None:
        await table(store)
        impatient = await store.open(Setup(tx_limit=0.05))
        tx = impatient.transaction()
        await tx.savepoint()
        with pytest.raises(TransactionClosed, match=r"more than 0\.05 s"):
            await asyncio.create_task(tx.savepoint())

    async def test_one_left_open_ends_with_the_one_around_it(self, store: Ground) -> None:
        """And takes nobody along who has begun since."""
        await table(store)
        tx = store.store.transaction()
        outer = await tx.savepoint()
        left = await outer.savepoint()
        await left.execute(INSERT, {"what": "left"})
        await outer.commit()
        second = await tx.savepoint()
        inner = await second.savepoint()
        await inner.execute(INSERT, {"what": "inner"})
        with pytest.raises(TransactionClosed, match="the transaction around this one has ended"):
            await left.rollback()
        await inner.commit()
        await second.commit()
        await tx.commit()
        assert await effects(store) == ["inner", "left"]


async def _insert(tx: OpenTransaction, what: str) -> None:
    nested = await tx.savepoint()
    await nested.execute(INSERT, {"what": what})
    await nested.commit()
