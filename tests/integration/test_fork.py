"""Preload and fork, as gunicorn does: the parent imports the app and uses it, its children open their own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sqlite3
from pathlib import Path

import pytest

from penstock import App, WorkerOptions
from penstock.model.events import Event, WorkerRescued
from tests.integration.cli.console import PATIENCE
from tests.integration.play import heard, program, rows, tell
from tests.integration.programs.preload import CHILDREN, EACH, ROUNDS


def kept(store: Path) -> list[tuple[int, int]]:
    """(of the parent, of the children)"""
    return rows(store, "select sum(body ->> 'who' = 0), sum(body ->> 'who' > 0) from penstock_message where task = 'web.count'")


def test_children_and_parent_enqueue_under_load(fast: Path) -> None:
    store = fast / "web.db"
    with program("preload.py", "load", store=store) as server:
        said = server.until(r"parent kept (\d+), children well")
        assert server.code() == 0
    assert kept(store) == [(int(said[1]), ROUNDS * CHILDREN * (2 * EACH + 1))]
    assert rows(store, "select count(*), count(distinct body) from penstock_message where body ->> 'who' > 0")[0][0] > 0
    assert rows(store, "select count(*) - count(distinct body) from penstock_message") == [(0,)]
    assert rows(store, "pragma integrity_check") == [("ok",)]


@pytest.mark.parametrize("what", ["outlived", "engine"])
def test_a_child_outlives_what_its_parent_had_open(fast: Path, what: str) -> None:
    """SQLite counts a process's locks in its memory: a child that inherits the count of open connections would lock nothing
    itself, and its log would be deleted under it as soon as its parent closes."""
    store = fast / "web.db"
    with program("preload.py", what, store=store) as server:
        server.until("children well")
        assert server.code() == 0
    assert kept(store) == [(2, 2)]
    assert rows(store, "pragma integrity_check") == [("ok",)]


def test_children_that_exit_leave_the_parents_transaction_alone(fast: Path) -> None:
    store = fast / "web.db"
    with program("preload.py", "transaction", store=store) as server:
        server.until("transaction open, children well")
        other = sqlite3.connect(store, timeout=0, isolation_level=None)
        other.execute("pragma wal_autocheckpoint = 0")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("begin immediate")
        tell(server, "go on")
        server.until("committed")
        server.until("child after it well")
        assert server.code() == 0
    assert other.execute("select entry from ledger").fetchall() == [("before",), ("after",)]
    other.close()
    assert kept(store) == [(None, 1)] or kept(store) == [(0, 1)]
    assert rows(store, "pragma integrity_check") == [("ok",)]


async def test_children_keep_no_worker_alive_that_is_dead(fast: Path) -> None:
    """A child that was killed did not free its parent's lock; one that lives does not hold it after its parent's death."""
    store = fast / "web.db"
    app = App(f"sqlite:///{store}", name="web")

    @app.task(queue="held")
    async def hang() -> str:
        return "rescued"

    rescued = asyncio.Event()

    def told(event: Event) -> None:
        if isinstance(event, WorkerRescued):
            rescued.set()

    app.signals.listen(told)
    with program("preload.py", "worker", store=store) as server:
        said = re.findall(r"\d+", await heard(server, r"child \d+ lives, parent \d+"))
        await heard(server, "hang")
        child, parent = map(int, said)
        async with app.worker(WorkerOptions(lease=60)) as worker:
            await worker.idle()  # it has looked; what the parent holds stays there
            (job_id,) = (row[0] for row in rows(store, "select id from penstock_message where task = 'web.hang'"))
            assert await app.job(job_id).status() == "running"
            assert not rescued.is_set()
            os.kill(parent, signal.SIGKILL)
            try:
                assert await app.job(job_id).result(timeout=PATIENCE) == "rescued"  # else after a lease: 60 s
                os.kill(child, 0)  # it lives all the while
            finally:
                os.kill(child, signal.SIGKILL)
    assert rescued.is_set()
    await app.close()
