"""Preload and fork, as gunicorn does: the parent imports the app and uses it, its children open their own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import App, WorkerOptions
from penstock.model.events import Event, WorkerRescued
from penstock_faults.site import Site
from tests.integration.cli.console import PATIENCE
from tests.integration.play import heard, program, rows, tell
from tests.integration.programs.preload import CHILDREN, EACH, ROUNDS


def kept(store: Path) -> list[tuple[int, int]]:
    """(of the parent, of the children)"""
    return rows(store, "select sum(body ->> 'who' = 0), sum(body ->> 'who' > 0) from penstock_message where task = 'web.count'")


@pytest.fixture
def served(postgres_url: str) -> Iterator[Site]:
    site = Site.on(postgres_url)
    yield site
    site.drop()


def kept_there(site: Site) -> tuple[int, int]:
    """(of the parent, of the children)"""
    body = "convert_from(body, 'UTF8')::jsonb ->> 'who'"
    sql = (
        f"select count(*) filter (where {body} = '0'), count(*) filter (where {body} <> '0') from penstock_message where task = 'web.count'"
    )
    ((parent, children),) = site.rows(sql)
    return parent, children


def test_children_and_parent_enqueue_under_load(fast: Path) -> None:
    store = fast / "web.db"
    with program("preload.py", "load", store=store) as server:
        said = server.until(r"parent kept (\d+), children well")
        assert server.code() == 0
    assert kept(store) == [(int(said[1]), ROUNDS * CHILDREN * (2 * EACH + 1))]
    assert rows(store, "select count(*), count(distinct body) from penstock_message where body ->> 'who' > 0")[0][0] > 0
    assert rows(store, "select count(*) - count(distinct body) from penstock_message") == [(0,)]
    assert rows(store, "pragma integrity_check") == [("ok",)]


def test_on_postgresql_children_and_parent_enqueue_under_load(served: Site) -> None:
    """Ids sort by process and are never shared; neither are connections: two that write to one socket break each other's protocol."""
    with program("preload.py", "load", store=served.url) as server:
        said = server.until(r"parent kept (\d+), children well")
        assert server.code() == 0
    assert kept_there(served) == (int(said[1]), ROUNDS * CHILDREN * (2 * EACH + 1))
    assert served.value("select count(*) - count(distinct body) from penstock_message") == 0
    assert served.soundness() == "ok"


def test_on_postgresql_a_child_outlives_what_its_parent_had_open(served: Site) -> None:
    """What the child does at its end, or when it collects what it inherited, must not say goodbye on its parent's connections."""
    with program("preload.py", "outlived", store=served.url) as server:
        server.until("children well")
        assert server.code() == 0
    assert kept_there(served) == (2, 2)


def test_on_postgresql_a_child_has_none_of_its_parents_connections(served: Site) -> None:
    """It would keep its parent's sessions, and what they have locked, beyond its parent's death."""
    with program("preload.py", "sockets", store=served.url) as server:
        assert int(server.until(r"parent has (\d+)")[1]) >= 4
        assert server.until(r"child has (\d+)")[1] == "0"
        server.until("children well")
        assert server.code() == 0


def test_on_postgresql_a_worker_goes_on_beside_its_children(served: Site) -> None:
    """Parent and children both go on: the worker works, what all of them enqueue is done, once."""
    with program("preload.py", "working", store=served.url) as server:
        said = server.until(r"parent kept (\d+), children well")
        assert server.code() == 0
    asked, children = kept_there(served)
    assert (asked, children) == (int(said[1]), CHILDREN * (2 * EACH + 1))
    assert served.value("select count(*) from penstock_finished where outcome = 'done'") == asked + children
    assert served.value("select count(*) from penstock_attempt") == 0
    assert served.soundness() == "ok"


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
