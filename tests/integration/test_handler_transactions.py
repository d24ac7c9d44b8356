"""Handlers with `tx`: what joins, what does not, and that effects happen once."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from penstock import App, Context, Retry, Transaction
from penstock.errors import ConfigurationError, JobFailed, NotFound, TransactionClosed
from tests.integration.cli.console import PATIENCE
from tests.integration.play import opened, rows

ONCE = Retry(attempts=1)
SOON = Retry(attempts=5, first=0.01, factor=1.0)


@pytest.fixture
async def ledger(shop: App) -> App:
    async with shop.transaction() as tx:
        await tx.execute("create table ledger (entry text)")
    return shop


def entries(fast: Path) -> list[str]:
    return [row[0] for row in rows(fast / "shop.db", "select entry from ledger order by rowid")]


# -- tx=None


async def test_without_tx_before_the_first_statement_it_is_durable_at_once(ledger: App, fast: Path) -> None:
    kept: list[str] = []

    @ledger.task()
    async def audit(what: str) -> str:
        return what

    @ledger.task(retry=ONCE)
    async def fail(tx: Transaction) -> None:
        job = await audit.using(tx=None).enqueue("tried")
        kept.append(await job.status())
        await tx.execute("insert into ledger values ('a')")
        joined = await audit.enqueue("written")
        kept.append(joined.id)
        raise KeyError(job.id)

    @ledger.task(retry=ONCE)
    def fail_on_a_thread(tx: Transaction) -> None:
        job = audit.using(tx=None).sync.enqueue("tried on a thread")
        tx.sync.execute("insert into ledger values ('b')")
        raise KeyError(job.id)

    async with ledger.worker() as worker:
        for job in await ledger.enqueue_many([fail.bind(), fail_on_a_thread.bind()]):
            with pytest.raises(JobFailed, match="KeyError"):
                await job.result(timeout=PATIENCE)
        await worker.idle()
    assert kept[0] in ("waiting", "running", "done")
    with pytest.raises(NotFound):
        await ledger.job(kept[1]).status()
    stored = rows(fast / "shop.db", "select body ->> 'what' from penstock_message where task = 'shop.audit' order by 1")
    assert stored == [("tried",), ("tried on a thread",)]
    assert entries(fast) == []


async def test_without_tx_after_the_first_statement_it_would_wait_for_itself(ledger: App, fast: Path) -> None:
    @ledger.task()
    async def audit() -> None: ...

    @ledger.task(retry=ONCE)
    async def on_the_loop(tx: Transaction) -> str:
        await tx.execute("insert into ledger values ('loop')")
        with pytest.raises(ConfigurationError, match=r"using\(tx=None\) after the first statement"):
            await audit.using(tx=None).enqueue()
        return "refused"

    @ledger.task(retry=ONCE)
    def on_a_thread(tx: Transaction) -> str:
        tx.sync.execute("insert into ledger values ('thread')")
        with pytest.raises(ConfigurationError, match=r"using\(tx=None\) after the first statement"):
            audit.using(tx=None).sync.enqueue()
        return "refused"

    async with ledger.worker():
        jobs = await ledger.enqueue_many([on_the_loop.bind(), on_a_thread.bind()])
        assert [await job.result(timeout=PATIENCE) for job in jobs] == ["refused", "refused"]
    assert sorted(entries(fast)) == ["loop", "thread"]
    assert rows(fast / "shop.db", "select * from penstock_message where task = 'shop.audit'") == []


# -- what joins by itself


@pytest.mark.parametrize("fails", [False, True])
async def test_functions_tasks_and_threads_of_the_handler_join(ledger: App, fast: Path, fails: bool) -> None:
    @ledger.task()
    async def follow(via: str) -> str:
        return via

    async def called() -> None:
        await follow.enqueue("function")

    @ledger.task(retry=ONCE)
    async def on_the_loop(tx: Transaction) -> None:
        await tx.execute("insert into ledger values ('loop')")
        await called()
        await asyncio.gather(*(asyncio.create_task(called()) for _ in range(3)))
        await asyncio.to_thread(lambda: follow.sync.enqueue("thread"))
        if fails:
            raise KeyError

    @ledger.task(retry=ONCE)
    def on_a_thread(tx: Transaction) -> None:
        tx.sync.execute("insert into ledger values ('thread')")
        context = contextvars.copy_context()
        started = threading.Thread(target=lambda: context.run(follow.sync.enqueue, "thread of a thread"))
        started.start()
        started.join()
        if fails:
            raise KeyError

    async with ledger.worker() as worker:
        jobs = await ledger.enqueue_many([on_the_loop.bind(), on_a_thread.bind()])
        await asyncio.gather(*(job.result(timeout=PATIENCE) for job in jobs), return_exceptions=True)
        await worker.idle()
    follows = [
        row[0] for row in rows(fast / "shop.db", "select body ->> 'via' from penstock_message where task = 'shop.follow' order by 1")
    ]
    assert follows == ([] if fails else [*["function"] * 4, "thread", "thread of a thread"])
    assert sorted(entries(fast)) == ([] if fails else ["loop", "thread"])


async def test_after_the_handlers_end_there_is_no_other_road(ledger: App, fast: Path) -> None:
    over = asyncio.Event()
    late: list[asyncio.Task[None]] = []

    @ledger.task()
    async def follow() -> None: ...

    async def linger(tx: Transaction) -> None:
        await over.wait()
        with pytest.raises(TransactionClosed):
            await follow.enqueue()
        with pytest.raises(TransactionClosed):
            await tx.execute("insert into ledger values ('late')")
        with pytest.raises(TransactionClosed):
            await asyncio.to_thread(follow.sync.enqueue)
        await follow.using(tx=None).enqueue()

    @ledger.task()
    async def start(tx: Transaction) -> None:
        await tx.execute("insert into ledger values ('in time')")
        late.append(asyncio.create_task(linger(tx)))

    async with ledger.worker() as worker:
        await (await start.enqueue()).result(timeout=PATIENCE)
        over.set()
        async with asyncio.timeout(PATIENCE):
            await late[0]
        await worker.idle()
    assert entries(fast) == ["in time"]
    assert rows(fast / "shop.db", "select count(*) from penstock_message where task = 'shop.follow'") == [(1,)]


async def test_another_apps_verbs_do_not_join(ledger: App, fast: Path) -> None:
    async with opened(fast / "elsewhere.db") as elsewhere, opened(fast / "shop.db") as beside:

        @elsewhere.task()
        async def far() -> None: ...

        @beside.task()
        async def near() -> None: ...

        @ledger.task(retry=ONCE)
        async def fail(tx: Transaction) -> None:
            await near.enqueue()
            await tx.execute("insert into ledger values ('a')")
            await far.enqueue()
            with pytest.raises(ConfigurationError, match="would wait for the lock that the tx holds"):
                await near.enqueue()  # it is the same file
            raise KeyError

        async with ledger.worker():
            with pytest.raises(JobFailed, match="KeyError"):
                await (await fail.enqueue()).result(timeout=PATIENCE)
    assert rows(fast / "elsewhere.db", "select task from penstock_message") == [("shop.far",)]
    assert rows(fast / "shop.db", "select task from penstock_message where task = 'shop.near'") == [("shop.near",)]
    assert entries(fast) == []


async def test_a_transaction_inside_is_a_savepoint(ledger: App, fast: Path) -> None:
    @ledger.task()
    async def follow(via: str) -> None: ...

    @ledger.task(retry=ONCE)
    async def outer(tx: Transaction) -> None:
        await tx.execute("insert into ledger values ('outer')")
        async with ledger.transaction() as kept:
            await kept.execute("insert into ledger values ('kept')")
            await follow.using(tx=kept).enqueue("kept")
        with pytest.raises(ValueError, match="undone"):
            async with ledger.transaction() as undone:
                await undone.execute("insert into ledger values ('undone')")
                await follow.using(tx=undone).enqueue("undone")
                raise ValueError("undone")
        await follow.enqueue("outer")

    async with ledger.worker() as worker:
        await (await outer.enqueue()).result(timeout=PATIENCE)
        await worker.idle()
    assert entries(fast) == ["outer", "kept"]
    stored = rows(fast / "shop.db", "select body ->> 'via' from penstock_message where task = 'shop.follow' order by seq")
    assert [row[0] for row in stored] == ["kept", "outer"]


async def test_what_is_enqueued_in_a_transaction_inside_goes_with_it(ledger: App, fast: Path) -> None:
    @ledger.task()
    async def follow(via: str) -> None: ...

    def aside() -> None:
        with pytest.raises(ValueError, match="undone"), ledger.sync.transaction():
            follow.sync.enqueue("undone on a thread")
            raise ValueError("undone")
        with ledger.sync.transaction():
            follow.sync.enqueue("kept on a thread")

    @ledger.task(retry=ONCE)
    async def outer(tx: Transaction) -> None:
        with pytest.raises(ValueError, match="undone"):
            async with ledger.transaction():
                await follow.enqueue("undone")
                raise ValueError("undone")
        async with ledger.transaction():
            await follow.enqueue("kept")
        await asyncio.to_thread(aside)
        await follow.enqueue("outer")

    async with ledger.worker() as worker:
        await (await outer.enqueue()).result(timeout=PATIENCE)
        await worker.idle()
    stored = rows(fast / "shop.db", "select body ->> 'via' from penstock_message where task = 'shop.follow' order by seq")
    assert [row[0] for row in stored] == ["kept", "kept on a thread", "outer"]


async def test_transactions_inside_of_two_tasks_do_not_undo_each_other(ledger: App, fast: Path) -> None:
    @ledger.task(retry=ONCE)
    async def outer(tx: Transaction) -> None:
        async def add(what: str) -> None:
            async with ledger.transaction() as inner:
                await inner.execute("insert into ledger values (:what)", what=what)
                if what == "undone":
                    raise ValueError(what)

        ends = await asyncio.gather(*(add(what) for what in ("a", "undone", "b")), return_exceptions=True)
        assert [str(end) for end in ends] == ["None", "undone", "None"]

    async with ledger.worker():
        await (await outer.enqueue()).result(timeout=PATIENCE)
    assert entries(fast) == ["a", "b"]


# -- once


async def test_a_handler_that_fails_after_writing_has_its_effects_once(ledger: App, fast: Path) -> None:
    @ledger.task()
    async def follow(attempt: int) -> None: ...

    @ledger.task(retry=SOON)
    async def on_the_loop(ctx: Context, tx: Transaction) -> int:
        await tx.execute("insert into ledger values ('loop')")
        await follow.enqueue(ctx.attempt)
        if ctx.attempt < 3:
            raise KeyError(ctx.attempt)
        return ctx.attempt

    @ledger.task(retry=SOON)
    def on_a_thread(ctx: Context, tx: Transaction) -> int:
        tx.sync.execute("insert into ledger values ('thread')")
        follow.sync.enqueue(ctx.attempt)
        if ctx.attempt < 3:
            raise KeyError(ctx.attempt)
        return ctx.attempt

    async with ledger.worker() as worker:
        jobs = await ledger.enqueue_many([on_the_loop.bind(), on_a_thread.bind()])
        assert [await job.result(timeout=PATIENCE) for job in jobs] == [3, 3]
        await worker.idle()
    assert sorted(entries(fast)) == ["loop", "thread"]
    assert rows(fast / "shop.db", "select body ->> 'attempt' from penstock_message where task = 'shop.follow'") == [(3,), (3,)]


async def test_a_worker_declared_dead_during_a_tx_commits_nothing(ledger: App, fast: Path) -> None:
    begun, declared = asyncio.Event(), asyncio.Event()

    @ledger.task()
    async def follow(by: str) -> None: ...

    @ledger.task()
    async def write(tx: Transaction) -> str:
        by = "fresh" if begun.is_set() else "stale"  # it may get it again itself, under another incarnation
        begun.set()
        with suppress(asyncio.CancelledError):  # it hears of its death, and goes on all the same
            await declared.wait()
        await tx.execute("insert into ledger values (:by)", by=by)
        await follow.enqueue(by)
        return by

    async with opened(fast / "shop.db") as other:

        @other.task(name="write")
        async def write_again(tx: Transaction) -> str:
            await tx.execute("insert into ledger values ('fresh')")
            await follow_again.enqueue("fresh")
            return "fresh"

        @other.task(name="follow")
        async def follow_again(by: str) -> None: ...

        async with ledger.worker() as stale:
            job = await write.enqueue()
            async with asyncio.timeout(PATIENCE):
                await begun.wait()
            leases = (await other._link.opened()).leases
            (seen,) = await leases.others(0)
            assert (seen.incarnation, seen.gone) == (stale.incarnation, False)
            rescued = None
            while rescued is None:  # it may beat in between
                (seen,) = [one for one in await leases.others(0) if one.incarnation == seen.incarnation]
                rescued = await leases.rescue(seen.incarnation, seen.beat)
            assert rescued.released == 1
            declared.set()
            async with other.worker():
                assert await job.result(timeout=PATIENCE) == "fresh"
                await stale.idle()
        view = await (await other._link.opened()).inspect.job(job.id)
    assert entries(fast) == ["fresh"]
    assert rows(fast / "shop.db", "select body ->> 'by' from penstock_message where task = 'shop.follow'") == [("fresh",)]
    assert view is not None
    assert (view.status, view.deaths) == ("done", 1)
