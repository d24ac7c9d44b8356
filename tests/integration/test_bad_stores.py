"""A store that is locked, full, read-only, damaged or of another release: a typed error that says what to do, and nothing lost."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from penstock import App, Job
from penstock.errors import SchemaOutdated, StoreCorrupt, StoreError, StoreFull, StoreReadOnly, StoreUnavailable
from penstock.model.job import JobFilter
from penstock.stores.sqlite.migrate import NEEDED
from tests.integration.cli.console import PATIENCE
from tests.integration.play import Troubles, opened, program, rows

BODY = "x" * 20_000


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Another program's transaction holds the write lock."""
    other = sqlite3.connect(store, isolation_level=None)
    other.execute("pragma wal_autocheckpoint = 0")
    other.execute("begin immediate")
    try:
        yield
    finally:
        other.execute("commit")
        other.close()


async def all_done(jobs: list[Job[int]]) -> bool:
    return [await job.result(timeout=PATIENCE) for job in jobs] == list(range(len(jobs)))


# -- locked


async def test_a_store_that_is_locked_for_a_while_only_makes_wait(shop: App, fast: Path) -> None:
    @shop.task()
    async def work(n: int) -> int:
        return n

    async with shop.worker():
        jobs = [await work.enqueue(n) for n in range(5)]
        with locked(fast / "shop.db"):
            held = [asyncio.create_task(work.enqueue(n)) for n in range(5, 10)]
            done, _ = await asyncio.wait(held, timeout=0.2)
            assert done == set()
        async with asyncio.timeout(PATIENCE):
            jobs += [await one for one in held]
        assert await all_done(jobs)


async def test_a_store_that_stays_locked_says_so_and_goes_on_afterwards(shop: App, fast: Path) -> None:
    @shop.task()
    async def work(n: int) -> int:
        return n

    troubles = Troubles(shop)
    async with shop.worker():
        jobs = [await work.enqueue(n) for n in range(5)]
        with locked(fast / "shop.db"):
            with pytest.raises(StoreUnavailable, match="another program holds the file's write lock for longer than 5 s; find it"):
                await work.using(id="refused").enqueue(99)
            async with asyncio.timeout(PATIENCE):
                await troubles.first.wait()  # the worker met it too
        jobs += [await work.enqueue(n) for n in range(5, 10)]
        assert await all_done(jobs)
    assert all(isinstance(error, StoreUnavailable) for _, error in troubles.met)
    assert rows(fast / "shop.db", "select * from penstock_message where id = 'refused'") == []


# -- full


def fill(disk: Path) -> Path:
    """Leave nothing."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"\0" * 4096) == 4096:
            pass
    return filler


async def test_a_full_disk_refuses_and_goes_on_when_there_is_space(small_disk: Path) -> None:
    async with opened(small_disk / "shop.db") as app:
        troubles = Troubles(app)
        started, free = asyncio.Event(), asyncio.Event()

        @app.task()
        async def work(n: int, body: str = "") -> int:
            started.set()
            await free.wait()
            return n

        async with app.worker():
            jobs = [await work.enqueue(0, BODY)]
            async with asyncio.timeout(PATIENCE):
                await started.wait()
            filler = fill(small_disk)
            with pytest.raises(StoreFull, match="the disk is full; free some space, then it goes on by itself"):
                while True:
                    jobs.append(await work.enqueue(len(jobs), BODY))
            with pytest.raises(StoreFull):
                async with app.transaction() as tx:
                    await tx.execute("create table big as select zeroblob(100000) as b")
            free.set()  # what runs ends, and cannot be settled now
            async with asyncio.timeout(PATIENCE):
                await troubles.first.wait()
            filler.unlink()
            jobs += [await work.enqueue(len(jobs) + n, BODY) for n in range(3)]
            assert await all_done(jobs)
    assert {type(error) for _, error in troubles.met} <= {StoreFull}
    assert rows(small_disk / "shop.db", "select count(*) from penstock_message") == [(len(jobs),)]
    assert rows(small_disk / "shop.db", "pragma integrity_check") == [("ok",)]


async def test_a_store_cannot_be_made_on_a_full_disk_but_later(small_disk: Path) -> None:
    async with opened(small_disk / "shop.db") as app:

        @app.task()
        async def work() -> None: ...

        filler = fill(small_disk)
        with pytest.raises(StoreFull, match="the disk is full; free some space"):
            await work.enqueue()
        filler.unlink()
        assert (await work.enqueue()).created


# -- read-only

UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")
"""Root may write anywhere; without these capabilities it may not."""


def as_a_user() -> tuple[str, ...]:
    return UNPRIVILEGED if os.geteuid() == 0 and shutil.which("setpriv") else ()


def test_a_folder_that_cannot_be_written(fast: Path) -> None:
    folder = fast / "closed"
    folder.mkdir(mode=0o500)
    with program("script.py", "exits", store=folder / "shop.db", prefix=as_a_user()) as script:
        script.until(r"StoreReadOnly: open .*/closed/shop\.db: its folder cannot be written by this user")
        assert script.code() == 1
    assert list(folder.iterdir()) == []
    folder.chmod(0o700)


def test_a_file_that_cannot_be_written(fast: Path) -> None:
    store = fast / "shop.db"
    with program("script.py", "exits", store=store) as script:
        assert script.code() == 0
    store.chmod(0o400)
    with program("script.py", "exits", store=store, prefix=as_a_user()) as script:
        script.until(r"StoreReadOnly: .*the file or its folder cannot be written by this user")
        assert script.code() == 1
    store.chmod(0o600)
    assert rows(store, "select count(*) from penstock_message") == [(5,)]


async def test_a_disk_that_is_mounted_read_only(small_disk: Path) -> None:
    async with opened(small_disk / "shop.db") as app:

        @app.task()
        async def work() -> None: ...

        remount(small_disk, "ro")
        with pytest.raises(StoreReadOnly, match="cannot be written"):
            await work.enqueue()
        remount(small_disk, "rw")
        assert (await work.enqueue()).created


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


# -- not ours


async def refused(store: Path, error: type[StoreError], advice: str, *, migrate: bool = True) -> None:
    async with opened(store, migrate=migrate) as app:

        @app.task()
        async def work() -> None: ...

        with pytest.raises(error, match=advice):
            await work.enqueue()
        with pytest.raises(error, match=advice):
            async with app.worker():
                raise AssertionError
        with pytest.raises(error, match=advice):
            async with app.transaction():
                raise AssertionError


async def test_a_file_that_is_no_database_is_left_as_it_is(fast: Path) -> None:
    store = fast / "notes.txt"
    store.write_text("dear diary\n" * 500)
    await refused(store, StoreCorrupt, r"open .*notes\.txt: the file is not an SQLite database")
    assert store.read_text() == "dear diary\n" * 500


async def test_a_folder_is_no_store(fast: Path) -> None:
    (fast / "shop.db").mkdir()
    await refused(fast / "shop.db", StoreUnavailable, "the file cannot be opened; does its folder exist")
    assert list((fast / "shop.db").iterdir()) == []


async def test_a_folder_that_does_not_exist(fast: Path) -> None:
    await refused(fast / "nowhere" / "shop.db", StoreUnavailable, "its folder does not exist")
    assert not (fast / "nowhere").exists()


async def test_a_newer_schema_is_refused_unless_it_is_compatible(fast: Path) -> None:
    store = fast / "shop.db"
    async with opened(store) as app, app.transaction() as tx:
        await tx.execute("update penstock_meta set value = 99 where name = 'schema'")
    async with opened(store) as app:

        @app.task()
        async def work() -> str:
            return "done"

        async with app.worker():
            assert await (await work.enqueue()).result(timeout=PATIENCE) == "done"
        async with app.transaction() as tx:
            await tx.execute("update penstock_meta set value = 99 where name = 'compatible'")
    await refused(store, SchemaOutdated, f"its schema is 99, this release knows {NEEDED}; upgrade Penstock here")


async def test_an_older_schema_is_left_to_the_command_when_told_so(fast: Path) -> None:
    await refused(
        fast / "shop.db", SchemaOutdated, f"its schema is 0, this release needs {NEEDED}; run `penstock store migrate`", migrate=False
    )
    assert rows(fast / "shop.db", "select name from sqlite_master") == []


async def test_a_damaged_file_says_what_to_do(fast: Path) -> None:
    store = fast / "shop.db"
    async with opened(store) as app:

        @app.task()
        async def work(n: int, body: str = "") -> int:
            return n

        await app.enqueue_many([work.bind(n, "x" * 2000) for n in range(200)])
    with store.open("r+b") as file:  # nobody has it open
        file.seek(4096)
        file.write(os.urandom(store.stat().st_size - 4096))
    async with opened(store) as app:

        @app.task(name="work")
        async def work_again() -> None: ...

        with pytest.raises(StoreCorrupt, match="the file is damaged; stop all workers, copy it with its -wal, and restore a backup"):
            await work_again.enqueue()


# -- written by others


@pytest.mark.parametrize(
    ("spoil", "ends"),
    [
        *((spoil, "done") for spoil in ("failures = 'many'", "deaths = 'none'", "options = 5", "options = '{}'", "headers = 5")),
        *((spoil, "done") for spoil in ("body = cast(body as text)", "type = cast(x'ff' as text)", "enqueued = 'today'")),
        *((spoil, "dead") for spoil in ("body = 5", "failures = 9e999", "failures = 9223372036854775807")),
        ("expires = 'soon'", "expired"),
    ],
)
async def test_a_row_of_wrong_types_holds_nobody_up(fast: Path, spoil: str, ends: str) -> None:
    """SQLite keeps what it is given, whatever the column is declared as."""
    async with opened(fast / "shop.db") as app:

        @app.task()
        async def work(n: int) -> int:
            if n and ends == "dead":
                raise ValueError(n)
            return n

        bad, good = await work.enqueue(1), await work.enqueue(0)
        with closing(sqlite3.connect(fast / "shop.db")) as other, other:
            other.execute(f"update penstock_message set {spoil} where id = ?", (bad.id,))
        async with app.worker() as worker, asyncio.timeout(5):
            assert await good.result() == 0
            await worker.idle()
        assert await bad.status() == ends
        store = await app._link.opened()
        assert {view.id for view in (await store.inspect.jobs(JobFilter(), limit=10)).jobs} == {bad.id, good.id}
