"""A commit is synced after the write lock is free, and before anybody is told that it is durable."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from penstock.errors import PublishUnknown, StoreUnavailable
from penstock.model.message import Message, Placed
from penstock.observe.signals import Signals
from penstock.ports.leases import Enrolment
from penstock.stores.sqlite import logsync
from penstock.stores.sqlite.store import SqliteStore
from penstock.testing.conformance.ground import until

WAIT = 20


class Disk:
    """In place of `fdatasync`: counts, can be held, and fails when it is told to."""

    def __init__(self) -> None:
        self.synced: list[str] = []
        self.errors = 0
        self.busy, self.free = threading.Event(), threading.Event()
        self.free.set()

    def __call__(self, fd: int) -> None:
        self.busy.set()
        assert self.free.wait(WAIT)
        self.synced.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
        if self.errors:
            self.errors -= 1
            raise OSError(errno.EIO, "Input/output error")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk()
    monkeypatch.setattr(logsync, "_fdatasync", disk)
    yield disk
    disk.free.set()


def message(name: str) -> Message:
    return Message(name, "mail", "send", b"{}", given=True)


def seen(path: Path) -> list[str]:
    """By another program."""
    with closing(sqlite3.connect(path, timeout=0)) as connection:
        return [row[0] for row in connection.execute("select id from penstock_message order by seq")]


def kept_by_the_file(path: Path) -> list[str]:
    """Without its log."""
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    return seen(copy)


async def test_who_puts_is_answered_behind_the_sync_and_others_need_not_wait_for_it(store: SqliteStore, disk: Disk, path: Path) -> None:
    rung = asyncio.Event()
    stop = store.listen(rung.set)
    disk.free.clear()
    put = asyncio.ensure_future(store.queue.put([message("a")]))
    await asyncio.to_thread(disk.busy.wait, WAIT)
    await asyncio.wait_for(rung.wait(), WAIT)
    with closing(sqlite3.connect(path, timeout=0)) as other:
        other.execute("begin immediate")
        assert other.execute("select id from penstock_message").fetchall() == [("a",)]
    assert store._threads.access.lock.try_acquire()  # type: ignore[union-attr]
    store._threads.access.lock.release()  # type: ignore[union-attr]
    assert not put.done()
    disk.free.set()
    assert await put == [Placed("a")]
    assert disk.synced == [f"{path}-wal"]
    stop()


async def test_what_need_not_be_durable_is_not_synced(store: SqliteStore, disk: Disk) -> None:
    await store.leases.enrol(Enrolment(1, "shop", "w", 1, "here", (), ()))
    assert disk.synced == []


async def test_with_durability_process_nothing_is_synced(path: Path, disk: Disk) -> None:
    store = SqliteStore(str(path), signals=Signals(), durability="process")
    await store.open()
    await store.queue.put([message("a")])
    await store.close()
    assert disk.synced == []


async def test_a_sync_that_fails_is_told_to_those_who_asked_for_one(store: SqliteStore, disk: Disk, path: Path) -> None:
    """And to nobody else of the same commit: what they wanted is done."""
    await store.queue.put([message("first")])
    writer = store._threads.writer  # type: ignore[union-attr]
    disk.free.clear()
    disk.busy.clear()
    holds = asyncio.ensure_future(store.queue.put([message("holds the writer")]))
    await asyncio.to_thread(disk.busy.wait, WAIT)
    put = asyncio.ensure_future(store.queue.put([message("a")]))
    enrol = asyncio.ensure_future(store.leases.enrol(Enrolment(1, "shop", "w", 1, "here", (), ())))
    await until(lambda: writer._inbox.qsize() == 2, "both have asked")
    disk.errors = 2
    disk.free.set()
    with pytest.raises(PublishUnknown, match=r"put messages: the device failed while the log was synced; retry with the same id"):
        await holds
    with pytest.raises(PublishUnknown):
        await put
    await enrol
    assert seen(path) == ["first", "holds the writer", "a"]
    assert await store.queue.put([message("a")]) == [Placed("a", created=False)]


async def test_behind_a_failed_sync_the_file_is_made_whole_before_anything_is_written(store: SqliteStore, disk: Disk, path: Path) -> None:
    disk.errors = 1
    with pytest.raises(PublishUnknown):
        await store.queue.put([message("a")])
    assert "a" not in kept_by_the_file(path)
    await store.queue.put([message("b")])
    assert kept_by_the_file(path) == ["a"]
    await store.queue.put([message("c")])
    assert kept_by_the_file(path) == ["a"]  # once


async def test_while_that_cannot_be_nobody_is_told_that_anything_is_durable(store: SqliteStore, disk: Disk, path: Path) -> None:
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("begin")
        reader.execute("select count(*) from penstock_message").fetchall()
        disk.errors = 1
        with pytest.raises(PublishUnknown):
            await store.queue.put([message("a")])
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match=r"put messages: .*cannot be copied into the file while a transaction that is open"):
                await store.queue.put([message("b")])
    assert await store.queue.put([message("b")]) == [Placed("b")]
    assert seen(path) == ["a", "b"]


async def test_a_connection_that_was_opened_anew_has_its_own_log_synced(store: SqliteStore, path: Path) -> None:
    """Before a fork all connections are closed, and the log with them."""
    await store.queue.put([message("a")])
    log = Path(f"{path}-wal")
    before = log.stat().st_ino
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    keeper = path.with_name("takes-the-number")
    keeper.touch()  # an inode that is free is given away
    await store.queue.put([message("b")])
    fd = store._threads.writer._log._fd  # type: ignore[union-attr]
    assert os.fstat(fd).st_ino == log.stat().st_ino != before


async def test_transactions_write_nothing_behind_a_gap_either(store: SqliteStore, disk: Disk, path: Path) -> None:
    disk.errors = 1
    with pytest.raises(PublishUnknown):
        await store.queue.put([message("a")])
    tx = store.transaction()
    await tx.execute("create table mine (n integer)", {})
    await tx.commit()
    assert kept_by_the_file(path) == ["a"]
