"""Users' rows, follow-ups and the acknowledgement commit together, or not at all."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from penstock.errors import LeaseLost, TransactionClosed
from penstock.model.delivery import Settlement
from penstock.model.message import Placed
from penstock.model.outcome import Done
from penstock.ports.transaction import OpenTransaction
from penstock.testing.conformance.backend import Setup
from penstock.testing.conformance.effects import effects, table
from penstock.testing.conformance.ground import Ground, until
from penstock.testing.conformance.worker import ids


class TransactionConformance:
    async def test_a_commit_makes_all_of_it_visible(self, store: Ground) -> None:
        worker = await table(store)
        await store.put("job")
        delivery = await worker.claim_one()
        tx = worker.store.transaction()
        assert await tx.execute("insert into effects (what) values (:what)", {"what": "stock reserved"}) == 1
        assert await tx.put([store.message("follow-up")]) == [Placed("follow-up")]
        assert await store.store.inspect.job("follow-up") is None
        await tx.commit((worker.incarnation, [Settlement(delivery, Done(b"1"))]))
        assert await effects(store) == ["stock reserved"]
        job = await store.job("job")
        assert (job.status, job.result) == ("done", b"1")
        assert await worker.drain() == ["follow-up"]

    async def test_a_rollback_leaves_nothing(self, store: Ground) -> None:
        worker = await table(store)
        tx = worker.store.transaction()
        await tx.execute("insert into effects (what) values ('lost')", {})
        await tx.put([store.message("kept back")])
        await tx.put([replace(store.message("written at once"), given=True)])
        await tx.rollback()
        await tx.rollback()
        assert await effects(store) == []
        assert await worker.drain() == []
        assert (await store.put_given("written at once"))[0].created

    async def test_rows_changed_are_counted_also_if_they_are_returned(self, store: Ground) -> None:
        worker = await table(store)
        tx = worker.store.transaction()
        assert await tx.execute("insert into effects (what) values ('a'), ('b')", {}) == 2
        assert await tx.execute("insert into effects (what) values ('c'), ('d') returning what", {}) == 2
        assert await tx.execute("update effects set what = 'e' where what = 'nothing'", {}) == 0
        await tx.commit()
        assert await effects(store) == ["a", "b", "c", "d"]

    async def test_a_lost_lease_rolls_everything_back(self, store: Ground) -> None:
        slow = await table(store)
        quick = await store.worker()
        await store.put("job")
        delivery = await slow.claim_one()
        await store.rescue(slow, by=quick)
        tx = slow.store.transaction()
        await tx.execute("insert into effects (what) values ('twice')", {})
        await tx.put([store.message("follow-up")])
        with pytest.raises(LeaseLost, match="job"):
            await tx.commit((slow.incarnation, [Settlement(delivery, Done())]))
        assert await effects(store) == []
        assert await quick.drain() == ["job"]
        await _is_closed(tx, store)

    async def test_two_runs_of_one_job_commit_once(self, store: Ground) -> None:
        worker = await table(store)
        await store.put("job")
        delivery = await worker.claim_one()
        for attempt in range(2):
            tx = worker.store.transaction()
            await tx.execute("insert into effects (what) values (:what)", {"what": str(attempt)})
            commit = tx.commit((worker.incarnation, [Settlement(delivery, Done())]))
            if attempt:
                with pytest.raises(LeaseLost):
                    await commit
            else:
                await commit
        assert await effects(store) == ["0"]

    async def test_a_failure_can_be_settled_in_a_transaction(self, store: Ground) -> None:
        worker = await store.worker()
        await store.put("a1", "a2", key="a")
        a1 = await worker.claim_one()
        tx = worker.store.transaction()
        await tx.commit((worker.incarnation, [Settlement(a1, store.failed(10))]))
        assert await worker.drain() == []
        store.advance(10)
        assert await worker.drain() == ["a1", "a2"]

    async def test_a_commit_frees_the_key(self, store: Ground) -> None:
        worker, other = await store.worker(), await store.worker()
        await store.put("a1", "a2", key="a")
        a1 = await worker.claim_one()
        assert await other.claim() == []
        await worker.store.transaction().commit((worker.incarnation, [Settlement(a1, Done())]))
        assert ids(await other.claim()) == ["a2"]

    async def test_what_is_put_keeps_its_order(self, store: Ground) -> None:
        """Also where one id was given, so that it had to be written at once."""
        tx = store.store.transaction()
        await tx.put([store.message("a1", key="a")])
        await tx.put([replace(store.message("a2", key="a"), given=True)])
        nested = await tx.savepoint()
        await nested.put([store.message("a3", key="a")])
        await nested.commit()
        await tx.put([store.message("a4", key="a")])
        await tx.commit()
        assert await (await store.worker()).drain() == ["a1", "a2", "a3", "a4"]

    async def test_a_given_id_is_answered_at_once(self, store: Ground) -> None:
        await store.put_given("known")
        tx = store.store.transaction()
        given = [replace(store.message(name), given=True) for name in ("known", "new", "new")]
        assert [each.created for each in await tx.put(given)] == [False, True, False]
        await tx.commit()
        assert sorted(await (await store.worker()).drain()) == ["known", "new"]

    async def test_a_savepoint_is_undone_alone(self, store: Ground) -> None:
        worker = await table(store)
        tx = worker.store.transaction()
        await tx.execute("insert into effects (what) values ('outer')", {})
        for what, keeps in (("kept", True), ("undone", False)):
            nested = await tx.savepoint()
            await nested.execute("insert into effects (what) values (:what)", {"what": what})
            await nested.put([store.message(what)])
            await (nested.commit() if keeps else nested.rollback())
            await _is_closed(nested, store)
        assert [row["what"] for row in await tx.fetch("select what from effects order by what", {})] == ["kept", "outer"]
        await tx.commit()
        assert await effects(store) == ["kept", "outer"]
        assert await worker.drain() == ["kept"]

    async def test_savepoints_nest(self, store: Ground) -> None:
        await table(store)
        tx = store.store.transaction()
        outer = await tx.savepoint()
        await outer.execute("insert into effects (what) values ('outer')", {})
        inner = await outer.savepoint()
        await inner.execute("insert into effects (what) values ('inner')", {})
        await inner.commit()
        await outer.rollback()
        await tx.execute("insert into effects (what) values ('tx')", {})
        await tx.commit()
        assert await effects(store) == ["tx"]

    async def test_after_its_end_everything_is_refused(self, store: Ground) -> None:
        """Also if it never began; and it keeps nobody waiting."""
        await table(store)
        for began in (False, True):
            for commits in (False, True):
                tx = store.store.transaction()
                if began:
                    await tx.execute("insert into effects (what) values ('a')", {})
                await (tx.commit() if commits else tx.rollback())
                await _is_closed(tx, store)
        impatient = await store.open(Setup(tx_limit=0.05))
        await impatient.queue.put([store.message("a")])
        assert await effects(store) == ["a"]

    async def test_a_failed_statement_is_the_users_own_error(self, store: Ground) -> None:
        worker = await table(store)
        tx = worker.store.transaction()
        await tx.execute("insert into effects (what) values ('before')", {})
        with pytest.raises(Exception, match="no_such_table"):
            await tx.execute("insert into no_such_table (what) values ('a')", {})
        await tx.rollback()
        assert await effects(store) == []

    async def test_a_transaction_open_too_long_is_rolled_back_by_name(self, store: Ground) -> None:
        await table(store)
        impatient = await store.open(Setup(tx_limit=0.05))
        tx = impatient.transaction()
        await tx.execute("insert into effects (what) values ('slow')", {})
        await store.put("waits for the lock")
        await until(lambda: not tx.started, "rolled back for its time")
        with pytest.raises(TransactionClosed, match=r"0\.05 s .*insert into effects \(what\) values \('slow'\)"):
            await tx.execute("select 1", {})
        with pytest.raises(TransactionClosed, match="insert into effects"):
            await tx.commit()
        assert await effects(store) == []

    async def test_a_statement_that_does_not_end_is_interrupted(self, store: Ground) -> None:
        endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"
        impatient = await store.open(Setup(tx_limit=0.05))
        with pytest.raises(TransactionClosed, match="with recursive"):
            await impatient.transaction().fetch(endless, {})
        await store.put("the lock is free")

    async def test_transactions_of_one_process_take_turns(self, store: Ground) -> None:
        await table(store)
        transactions = [store.store.transaction() for _ in range(5)]

        async def run(tx: OpenTransaction, name: str) -> None:
            """Two tasks of one handler share its transaction."""
            insert = "insert into effects (what) values (:what)"
            await asyncio.gather(*(tx.execute(insert, {"what": f"{name}{half}"}) for half in "ab"))
            await tx.commit()

        await asyncio.gather(*(run(tx, str(n)) for n, tx in enumerate(transactions)))
        assert await effects(store) == sorted(f"{n}{half}" for n in range(5) for half in "ab")

    async def test_a_thread_uses_the_same_transaction(self, store: Ground) -> None:
        await table(store)
        tx = store.store.transaction()

        def handler() -> list[str]:
            assert tx.execute_now("insert into effects (what) values ('a')", {}) == 1
            tx.put_now([store.message("follow-up")])
            return [str(row["what"]) for row in tx.fetch_now("select what from effects", {})]

        assert await asyncio.to_thread(handler) == ["a"]
        await tx.commit()
        assert await effects(store) == ["a"]
        assert await (await store.worker()).drain() == ["follow-up"]

    async def test_it_begins_at_its_first_statement(self, store: Ground) -> None:
        tx = store.store.transaction()
        await tx.put([store.message("kept back")])
        before = tx.started
        await store.put("nobody waits")
        await tx.fetch("select 1", {})
        assert (before, tx.started) == (False, True)
        await tx.commit()


async def _is_closed(tx: OpenTransaction, store: Ground) -> None:
    with pytest.raises(TransactionClosed):
        await tx.execute("insert into effects (what) values ('too late')", {})
    with pytest.raises(TransactionClosed):
        await tx.fetch("select 1", {})
    with pytest.raises(TransactionClosed):
        await tx.put([store.message("too late")])
    with pytest.raises(TransactionClosed):
        await tx.put([replace(store.message("too late"), given=True)])
    with pytest.raises(TransactionClosed):
        await tx.commit()
