"""What once left a job running, or waiting, for ever."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from penstock import App, Retry, Transaction, WorkerOptions
from penstock.engine import claimer
from penstock.errors import JobCancelled, JobFailed
from penstock.stores.sqlite import doorbell


async def moment(seconds: float) -> None:
    """Lets a deadline of the engine's pass."""
    loop = asyncio.get_running_loop()
    passed = loop.create_future()
    loop.call_later(seconds, passed.set_result, None)
    await passed


async def test_a_deadline_during_a_rollback_still_settles(tmp_path: Path) -> None:
    app = App(f"sqlite:///{tmp_path}/stuck.db", name="stuck")
    started, go, gave_up = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @app.task(retry=Retry(attempts=1), timeout=1)
    async def impatient(tx: Transaction) -> None:
        started.set()
        await go.wait()
        try:
            async with asyncio.timeout(0.01):
                await tx.execute("select 1")  # waits for the other transaction, and so does the rollback that follows
        finally:
            gave_up.set()

    async with app.worker():
        job = await impatient.enqueue()
        await asyncio.wait_for(started.wait(), 30)
        held = sqlite3.connect(tmp_path / "stuck.db", isolation_level=None)
        held.execute("begin immediate")
        go.set()
        await asyncio.wait_for(gave_up.wait(), 30)
        await moment(1.5)
        held.execute("rollback")
        held.close()
        with pytest.raises(JobFailed):
            await job.result(timeout=20)
    await app.close()


async def test_one_job_behind_a_crowd_of_a_busy_key_starts_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each claim meets 2,000 of the crowd; that there is more has to be enough to ask again, without a bell, a look or a rest."""
    monkeypatch.setattr(doorbell, "_LOOK", 3_600)
    monkeypatch.setattr(claimer, "POLL", 3_600)
    app = App(f"sqlite:///{tmp_path}/crowd.db", name="crowd")
    release = asyncio.Event()

    @app.task()
    async def hold() -> None:
        await release.wait()

    @app.task()
    async def quick() -> int:
        return 1

    await app.enqueue_many(hold.using(key="k").bind() for _ in range(20_000))
    job = await quick.enqueue()
    async with app.worker(WorkerOptions(concurrency=64, shutdown_timeout=0.1)):
        assert await job.result(timeout=20) == 1
    await app.close()


async def test_what_was_claimed_ahead_expires_all_the_same(tmp_path: Path) -> None:
    app = App(f"sqlite:///{tmp_path}/late.db", name="late")
    busy, release = asyncio.Event(), asyncio.Event()
    ran: list[str] = []

    @app.task()
    async def work(name: str) -> None:
        busy.set()
        ran.append(name)
        await release.wait()

    await work.enqueue("first")
    late = await work.using(expires=0.3).enqueue("late")
    async with app.worker(WorkerOptions(concurrency=1)):
        await busy.wait()
        await moment(0.5)
        release.set()
        with pytest.raises(JobCancelled):
            await late.result(timeout=20)
    assert await late.status() == "expired"
    assert ran == ["first"]
    await app.close()


async def test_a_result_that_the_file_refuses_keeps_no_other_waiting(tmp_path: Path) -> None:
    """It becomes a dead letter, which can be written; with it in their batch the others could not."""
    app = App(f"sqlite:///{tmp_path}/refused.db", name="refused")

    @app.task()
    async def echo(word: str) -> str:
        return word

    jobs = await app.enqueue_many(echo.bind(word) for word in ("a", "bad", "b", "c"))
    with closing(sqlite3.connect(tmp_path / "refused.db", isolation_level=None)) as other:
        refusal = "create trigger refusal before insert on penstock_finished when new.result = cast('\"bad\"' as blob)"
        other.execute(f"{refusal} begin select raise(abort, 'no'); end")
    async with app.worker():
        assert [await jobs[n].result(timeout=20) for n in (0, 2, 3)] == ["a", "b", "c"]
        with pytest.raises(JobFailed, match="settle deliveries: no"):
            await jobs[1].result(timeout=20)
    await app.close()
