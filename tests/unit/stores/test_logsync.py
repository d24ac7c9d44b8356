"""A commit is synced after the write lock is free, and before anybody is told that it is durable."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import PublishUnknown, StoreUnavailable
from penstock.model.log import Event, TopicSpec
from penstock.model.message import Message, Placed
from penstock.observe.signals import Signals
from penstock.ports.leases import Enrolment
from penstock.stores.sqlite import logsync, reaping
from penstock.stores.sqlite.files import Folder
from penstock.stores.sqlite.store import SqliteStore
from penstock.testing.conformance.ground import until

WAIT = 20


class Disk:
    """In place of `fdatasync`: counts, can be held, and fails when it is told to."""

    def __init__(self) -> None:
        self.synced: list[str] = []
        self.errors, self.fail_from = 0, 1
        """So many fail, from the n-th on."""
        self.busy, self.free = threading.Event(), threading.Event()
        self.free.set()

    def __call__(self, fd: int) -> None:
        self.busy.set()
        assert self.free.wait(WAIT)
        self.synced.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
        self.fail_from -= self.errors > 0
        if self.errors and self.fail_from < 1:
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


def mark(path: Path) -> Path:
    return Path(f"{path}-penstock/log-not-synced")


def seen(path: Path) -> list[str]:
    """By another program."""
    with closing(sqlite3.connect(path, timeout=0)) as connection:
        return [row[0] for row in connection.execute("select id from penstock_message order by seq")]


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


async def test_a_sync_that_fails_is_made_good_at_once(store: SqliteStore, disk: Disk, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The same bytes are written once more, so that the kernel has them to write; then it is durable, as was asked."""
    disk.errors = 1
    assert await store.queue.put([message("a")]) == [Placed("a")]
    assert disk.synced == [f"{path}-wal"] * 2
    assert not mark(path).exists()
    assert [record.getMessage() for record in caplog.records] == [
        f"a sync of {path}-wal failed ([Errno 5] Input/output error); nothing is written until it has been written again",
        f"{path}-wal has been written and synced again: it goes on",
    ]


async def test_all_of_the_log_is_written_again(store: SqliteStore, disk: Disk, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[int, int]] = []
    write = os.pwrite

    def pwrite(fd: int, piece: bytes, at: int) -> int:
        written.append((at, len(piece)))
        return write(fd, piece, at)

    monkeypatch.setattr(logsync.os, "pwrite", pwrite)
    monkeypatch.setattr(logsync, "_PIECE", 8_192)
    log = Path(f"{path}-wal")
    before = log.read_bytes()
    mark(path).touch()
    with closing(sqlite3.connect(path)) as reader:  # does not stand in the way
        reader.execute("begin")
        reader.execute("select count(*) from penstock_message").fetchall()
        await store.queue.put([message("a")])
    assert [at for at, _ in written] == list(range(0, len(before), 8_192))
    assert sum(size for _, size in written) == len(before)
    assert log.read_bytes()[: len(before)] == before
    assert not mark(path).exists()


async def test_where_that_fails_too_those_who_asked_for_a_sync_are_told(store: SqliteStore, disk: Disk, path: Path) -> None:
    """And nobody else of the same commit: what they wanted is done."""
    await store.queue.put([message("first")])
    writer = store._threads.writer  # type: ignore[union-attr]
    disk.free.clear()
    disk.busy.clear()
    holds = asyncio.ensure_future(store.queue.put([message("holds the writer")]))
    await asyncio.to_thread(disk.busy.wait, WAIT)
    put = asyncio.ensure_future(store.queue.put([message("a")]))
    enrol = asyncio.ensure_future(store.leases.enrol(Enrolment(1, "shop", "w", 1, "here", (), ())))
    await until(lambda: writer._inbox.qsize() == 2, "both have asked")
    disk.fail_from = 2
    disk.errors = 2
    disk.free.set()
    await holds
    with pytest.raises(PublishUnknown, match=r"put messages: it can be seen, and may be lost if the power fails"):
        await put
    await enrol
    assert seen(path) == ["first", "holds the writer", "a"]
    assert mark(path).exists()
    assert await store.queue.put([message("a")]) == [Placed("a", created=False)]
    assert not mark(path).exists()


async def test_until_it_succeeds_nothing_is_written(store: SqliteStore, disk: Disk, path: Path) -> None:
    """By nobody, whoever saw the error: a file says so."""
    other = SqliteStore(str(path), signals=Signals())
    await other.open()
    disk.errors = 5
    with pytest.raises(PublishUnknown):
        await store.queue.put([message("a")])
    for each in (store, other, store):
        with pytest.raises(StoreUnavailable, match=r"put messages: .* log failed, and so did writing it once more \(\[Errno 5\]"):
            await each.queue.put([message("b")])
    assert seen(path) == ["a"]
    assert await other.queue.put([message("b")]) == [Placed("b")]
    await other.close()


async def test_transactions_write_nothing_before_either(store: SqliteStore, disk: Disk, path: Path) -> None:
    mark(path).touch()
    disk.errors = 1
    tx = store.transaction()
    with pytest.raises(StoreUnavailable, match="begin a transaction: a sync of the write-ahead log failed"):
        await tx.execute("create table mine (n integer)", {})
    again = store.transaction()
    await again.execute("create table mine (n integer)", {})
    await again.commit()
    assert not mark(path).exists()


async def test_nobody_joins_meanwhile(store: SqliteStore, path: Path) -> None:
    mark(path).touch()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma wal_autocheckpoint = 0")
        connection.execute("begin")
        with pytest.raises(StoreUnavailable, match=r"using\(tx=…\): a sync of the write-ahead log failed"):
            await store.join(connection).put([message("a")])


async def test_where_the_mark_cannot_be_made_the_process_knows(store: SqliteStore, disk: Disk, path: Path) -> None:
    store._threads.access.checkpointer.gap._mark = str(path.with_name("nowhere") / "mark")  # type: ignore[union-attr]
    disk.errors = 2
    with pytest.raises(PublishUnknown):
        await store.queue.put([message("a")])
    disk.synced.clear()
    await store.queue.put([message("b")])
    assert len(disk.synced) == 2
    await store.queue.put([message("c")])
    assert len(disk.synced) == 3


async def test_who_closes_writes_it_again(path: Path, disk: Disk) -> None:
    """Whoever closes the file last copies its log."""
    store = SqliteStore(str(path), signals=Signals())
    await store.open()
    await store.queue.put([message("a")])
    mark(path).touch()
    await store.close()
    assert not mark(path).exists()
    assert len(disk.synced) == 2


async def test_who_opens_writes_it_again(path: Path, disk: Disk) -> None:
    """A latecomer who closes the file at once would copy its log."""
    store = SqliteStore(str(path), signals=Signals())
    await store.open()
    await store.queue.put([message("a")])
    late = SqliteStore(str(path), signals=Signals())
    mark(path).touch()
    disk.errors, disk.fail_from = 1, 1
    with pytest.raises(StoreUnavailable, match="a sync of the write-ahead log failed, and so did writing it once more"):
        await late.open()
    assert mark(path).exists()
    await late.open()
    assert not mark(path).exists()
    await late.close()
    await store.close()


async def test_who_reaps_writes_it_again(path: Path, disk: Disk) -> None:
    store = SqliteStore(str(path), signals=Signals())
    await store.open()
    await store.leases.enrol(Enrolment(1, "shop", "w", 1, "here", (), ()))
    await store.close()
    (Folder(str(path)).worker_lock(1)).touch()
    disk.synced.clear()
    real = reaping.open_file

    def opened(*args: Any, **others: Any) -> None:
        real(*args, **others)
        mark(path).touch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reaping, "open_file", opened)
        assert reaping.reap(Folder(str(path))) == 1
    assert not mark(path).exists()


async def test_a_sync_that_comes_after_anothers_has_failed_counts_as_failed(store: SqliteStore, path: Path, disk: Disk) -> None:
    """The kernel tells each open file once; who opened the log later hears nothing."""
    disk.free.clear()
    putting = asyncio.ensure_future(store.queue.put([message("a")]))
    assert await asyncio.to_thread(disk.busy.wait, WAIT)
    mark(path).touch()
    disk.free.set()
    assert await putting == [Placed("a")]
    assert len(disk.synced) == 2
    assert not mark(path).exists()


async def test_a_log_that_cannot_be_opened_keeps_nothing(store: SqliteStore, path: Path) -> None:
    writer = store._threads.writer  # type: ignore[union-attr]
    writer._log._path = f"{path}-penstock/nowhere"
    with pytest.raises(StoreUnavailable, match="put messages: the log cannot be opened to sync it"):
        await store.queue.put([message("a")])
    with pytest.raises(StoreUnavailable, match="the log cannot be opened to sync it"):
        await store.leases.enrol(Enrolment(1, "shop", "w", 1, "here", (), ()))  # a later sync would not hear of an error before it
    assert seen(path) == []


async def test_events_are_durable_before_anybody_sees_them(path: Path, disk: Disk) -> None:
    """Whoever reads a topic keeps positions. What is put is not told by its place."""
    found: dict[str, int] = {}

    def reach(point: str) -> None:
        if point.endswith(".before_commit"):
            found[point] = store._threads.writer._connection.execute("pragma synchronous").fetchone()[0]  # type: ignore[union-attr]

    store = SqliteStore(str(path), signals=Signals(reach))
    await store.open()
    await store.queue.put([message("a")])
    await store.log.publish(TopicSpec("orders"), [Event("e-1", "OrderPlaced", b"{}")])
    await store.queue.put([message("b")])
    await store.close()
    normal, full = 1, 2
    assert found == {"put.before_commit": normal, "publish.before_commit": full}
    assert len(disk.synced) == 2


async def test_a_connection_that_was_opened_anew_has_its_own_log_synced(store: SqliteStore, path: Path) -> None:
    """Before a fork all connections are closed, and the log with them; the child has no copy of it."""
    await store.queue.put([message("a")])
    log = Path(f"{path}-wal")
    before = log.stat().st_ino
    fd = store._threads.writer._log._fd  # type: ignore[union-attr]
    if (pid := os.fork()) == 0:
        try:
            os.fstat(fd)
        except OSError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    path.with_name("takes-the-number").touch()  # an inode that is free is given away
    await store.queue.put([message("b")])
    fd = store._threads.writer._log._fd  # type: ignore[union-attr]
    assert os.fstat(fd).st_ino == log.stat().st_ino != before
