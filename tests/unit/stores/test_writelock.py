"""Waiting for the write lock: in turn, not for ever, and it is said who holds it."""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.errors import StoreUnavailable
from penstock.model.message import Message
from penstock.observe.signals import Signals
from penstock.stores.sqlite.files import Folder
from penstock.stores.sqlite.store import SqliteStore
from penstock.stores.sqlite.transaction import Transactions
from penstock.stores.sqlite.writelock import WriteLock, holder

HOLDER = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_elsewhere(path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def held_and_given_up(path: Path) -> tuple[WriteLock, WriteLock]:
    """The first has it; the second's patience has ended, and its own thread still waits."""
    first, second = WriteLock(path), WriteLock(path, patience=0.05)
    first.acquire()
    with pytest.raises(StoreUnavailable):
        second.acquire()
    return first, second


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(str(tmp_path / "store.db"), signals=Signals(), transactions=Transactions(0.1))
    await store.open()
    yield store
    await store.close()


async def test_a_put_names_the_stopped_process_and_goes_on_afterwards(store: SqliteStore, tmp_path: Path) -> None:
    message = Message("one", "mail", "send", b"", given=True)
    with held_elsewhere(Folder(str(tmp_path / "store.db")).path / "write.lock") as process:
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match=rf"waited 1\.1 s for .*: process {process.pid} holds it and is stopped"):
                await store.queue.put([message])
    assert (await store.queue.put([message]))[0].created


async def test_a_transaction_does_not_wait_for_ever_either(store: SqliteStore, tmp_path: Path) -> None:
    with held_elsewhere(Folder(str(tmp_path / "store.db")).path / "write.lock"), pytest.raises(StoreUnavailable, match="holds it now"):
        await store.transaction().execute("create table rows (n)", {})
    tx = store.transaction()
    await tx.execute("create table rows (n)", {})
    await tx.commit()


def test_who_waits_gets_it_when_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "write.lock"
    first, second = WriteLock(path), WriteLock(path)
    first.acquire()
    got = threading.Event()

    def wait() -> None:
        second.acquire()
        got.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not got.wait(0.05)
    first.release()
    thread.join(10)
    assert got.is_set()
    assert not first.try_acquire()
    second.release()
    assert first.try_acquire()
    first.close()
    second.close()


def test_what_is_free_in_a_moment_is_had_without_sleeping(tmp_path: Path) -> None:
    path = tmp_path / "write.lock"
    first, second = WriteLock(path), WriteLock(path)
    second.acquire(lambda: pytest.fail("it is free"))
    second.release()
    first.acquire()
    second.acquire(first.release)
    assert second._second < 0  # it let no second thread wait
    assert not first.try_acquire()
    second.release()
    first.acquire()
    calls: list[str] = []
    second._patience = 0.05
    with pytest.raises(StoreUnavailable):
        second.acquire(lambda: calls.append("once"))
    assert calls == ["once"]
    first.close()
    second.close()


def nothing() -> None:
    """To do meanwhile."""


def test_it_is_tried_until_the_moment_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = WriteLock(tmp_path / "write.lock"), WriteLock(tmp_path / "write.lock")
    now, at = 0.0, 0.0004

    def others_run() -> None:
        nonlocal now
        now += 0.0001
        if now >= at:
            first.release()

    monkeypatch.setattr("penstock.stores.sqlite.writelock.os.sched_yield", others_run)
    monkeypatch.setattr("penstock.stores.sqlite.writelock.time.monotonic", lambda: now)
    first.acquire()
    assert second._try_for_a_moment(nothing)
    second.release()
    first.acquire()
    at = now + 0.0007
    assert not second._try_for_a_moment(nothing)
    for lock in (first, second):
        lock.close()


def test_where_it_does_not_help_it_is_done_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.stores.sqlite.writelock._MOMENT", 0)
    first, second = WriteLock(tmp_path / "write.lock"), WriteLock(tmp_path / "write.lock")
    first.acquire()
    tried: list[int] = []
    for n in range(300):
        second._try_for_a_moment(lambda n=n: tried.append(n))
    assert tried == [0, 2, 6, 14, 30, 62, 126, 190, 254]
    first.release()
    while not second._try_for_a_moment(nothing):
        pass
    second.release()
    first.acquire()
    assert not second._try_for_a_moment(lambda: tried.append(-1))
    assert tried[-1] == -1
    for lock in (first, second):
        lock.close()


def test_what_comes_after_the_patience_is_given_back(tmp_path: Path) -> None:
    path = tmp_path / "write.lock"
    first, second = held_and_given_up(path)
    first.release()
    patient = WriteLock(path)
    patient.acquire()  # the second thread of `second` may have it for a moment
    patient.release()
    second.acquire()
    assert not first.try_acquire()
    second.release()
    assert first.try_acquire()
    for lock in (first, second, patient):
        lock.close()


def test_closing_while_it_is_awaited_leaves_nothing_locked(tmp_path: Path) -> None:
    path = tmp_path / "write.lock"
    first, second = held_and_given_up(path)
    second.close()
    first.release()
    first.acquire()
    first.close()
    last = WriteLock(path)
    last.acquire()
    assert holder(path) in (os.getpid(), None)
    last.close()


def test_what_is_given_back_is_nobodys_until_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its second thread gets the lock after its patience has ended. Until that has let it go, the first must not take it."""
    path = tmp_path / "write.lock"
    (first, second), third = held_and_given_up(path), WriteLock(path)
    given_back, owned = threading.Event(), threading.Event()
    flock = fcntl.flock

    def slow(fd: int, operation: int) -> None:
        if operation == fcntl.LOCK_UN and threading.current_thread().name == "penstock-lock":
            given_back.set()
            owned.wait(0.2)
        flock(fd, operation)

    monkeypatch.setattr("penstock.stores.sqlite.writelock.fcntl.flock", slow)
    first.release()
    assert given_back.wait(10)
    second._patience = 10
    second.acquire()
    owned.set()
    assert not third.try_acquire()
    second.release()
    assert third.try_acquire()
    for lock in (first, second, third):
        lock.close()


def test_a_lock_without_a_thread_to_wait_with_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "write.lock"
    first, second = WriteLock(path), WriteLock(path, patience=0.05)
    first.acquire()

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(StoreUnavailable, match="can't start new thread"):
            second.acquire()
    first.release()
    second.acquire()
    assert not first.try_acquire()
    first.close()
    second.close()


def test_a_child_closes_nothing_that_is_not_the_locks(tmp_path: Path) -> None:
    path = tmp_path / "write.lock"
    first, second = held_and_given_up(path)
    first.release()
    first.acquire()  # waits until the second thread has given it back
    first.close()
    second.close()
    for thread in threading.enumerate():
        if thread.name == "penstock-lock":
            thread.join(10)
    others = [os.open(tmp_path / f"other-{n}", os.O_CREAT) for n in range(8)]
    child = os.fork()
    if not child:
        code = 1
        try:
            for fd in others:
                os.fstat(fd)
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for fd in others:
        os.close(fd)
    assert second is not None


async def test_many_threads_take_turns(tmp_path: Path) -> None:
    """The count would be wrong if two ever had it at once."""
    path, counter = tmp_path / "write.lock", tmp_path / "counter"
    counter.write_text("0")

    def work() -> None:
        lock = WriteLock(path)
        for _ in range(100):
            lock.acquire()
            counter.write_text(str(int(counter.read_text()) + 1))
            lock.release()
        lock.close()

    await asyncio.gather(*(asyncio.to_thread(work) for _ in range(6)))
    assert counter.read_text() == "600"
