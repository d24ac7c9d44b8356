"""A commit wakes other processes: by a bell, and where none rings, by a look."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from penstock.model.message import Message
from penstock.observe.signals import Signals
from penstock.ports.leases import Enrolment
from penstock.ports.queue import Claim
from penstock.stores.sqlite import doorbell
from penstock.stores.sqlite.doorbell import Ringer
from penstock.stores.sqlite.store import SqliteStore

PUT = """
import asyncio, sys
from penstock.model.message import Message
from penstock.observe.signals import Signals
from penstock.stores.sqlite.store import SqliteStore

async def main():
    store = SqliteStore(sys.argv[1], signals=Signals())
    await store.open()
    await store.queue.put([Message("a", "mail", "send", b"{}")])
    await store.close()

asyncio.run(main())
"""
PATIENCE = 20
WORKER = Enrolment(1, "shop", "w", 1, "here", ("mail",), ("send",))
ASK = Claim(1, [("mail", 10)], frozenset({"send"}))


@pytest.fixture
def no_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a bell can wake."""
    monkeypatch.setattr(doorbell, "_LOOK", 3_600)


@pytest.fixture
def bell(path: Path) -> Iterator[socket.socket]:
    """A listener of another process that has not looked for a while."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.bind(str(path.parent / "bell-of-another"))
        bell.setblocking(False)
        yield bell


async def test_another_process_rings(store: SqliteStore, path: Path, no_looking: None) -> None:
    await store.leases.enrol(WORKER)
    claimed = asyncio.Queue[list[str]]()

    async def claim() -> None:
        found = await store.queue.claim(ASK)
        if found.runs:  # to enrol rings, too
            claimed.put_nowait([each.job_id for run in found.runs for each in run])

    tasks: list[asyncio.Task[None]] = []
    undo = store.listen(lambda: tasks.append(asyncio.ensure_future(claim())))
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", PUT, str(path)], check=True)
    assert await asyncio.wait_for(claimed.get(), PATIENCE) == ["a"]
    undo()
    await asyncio.gather(*tasks)


async def test_a_program_that_does_not_ring_is_noticed(store: SqliteStore, path: Path) -> None:
    """Any commit by anybody changes `data_version`."""
    woken = asyncio.Event()
    undo = store.listen(woken.set)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        other.execute("create table users (name text)")
        await looks(2)
        assert not woken.is_set()
        other.execute("commit")
    assert await asyncio.wait_for(woken.wait(), PATIENCE)
    undo()


async def looks(count: int) -> None:
    """So many have passed since, by the clock that they go by."""
    passed = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(count * doorbell._LOOK, passed.set_result, None)
    await passed


async def test_who_stopped_listening_is_not_woken(store: SqliteStore, path: Path, message: Message) -> None:
    heard: list[str] = []
    second_woken = asyncio.Event()
    undo_first = store.listen(lambda: heard.append("first"))
    undo_second = store.listen(second_woken.set)
    undo_first()
    await store.queue.put([message])
    await asyncio.wait_for(second_woken.wait(), PATIENCE)
    undo_second()
    assert heard == []
    assert list(Path(f"{path}-penstock").glob("bell-*")) == []


async def test_what_brings_no_work_does_not_ring(path: Path, no_looking: None, message: Message) -> None:
    """A prune wakes nobody; the put after it does."""
    store = SqliteStore(str(path), signals=Signals())
    await store.open()
    bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    bell.bind(f"{path}-penstock/bell-of-another")
    bell.setblocking(False)
    await store.queue.prune(10, age=0, keep=0)
    with pytest.raises(BlockingIOError):
        bell.recv(16)
    await store.queue.put([message])
    await store.close()
    assert bell.recv(16)
    bell.close()


def test_a_bell_whose_owner_died_is_taken_down(path: Path, bell: socket.socket) -> None:
    ringer = Ringer(path.parent)
    bell.close()
    ringer.ring()
    assert list(path.parent.glob("bell-*")) == []
    ringer.close()


def test_a_full_bell_hinders_nobody(path: Path, bell: socket.socket) -> None:
    second = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ringer = Ringer(path.parent)
    for _ in range(2_000):
        ringer.ring()
    second.bind(str(path.parent / "bell-that-is-new"))
    second.setblocking(False)
    path.parent.joinpath("touched").touch()
    ringer._seen = -1
    ringer.ring()
    assert second.recv(16)
    second.close()
    ringer.close()


def test_ringing_never_fails(path: Path) -> None:
    """It comes after the commit, which must not look as if it had failed."""
    for bells in (path.parent / "gone", Path("/proc/1/root/nowhere"), Path("/dev/null")):
        ringer = Ringer(bells)
        ringer.ring()
        assert ringer._known == []
        ringer.close()


def test_what_is_no_bell_is_passed_over(path: Path, bell: socket.socket) -> None:
    """Others are reached behind it."""
    ringer = Ringer(path.parent)
    broken = path.parent / "bell-broken"
    broken.mkdir()
    ringer.ring()
    assert broken.is_dir()
    assert bell.recv(16)
    ringer.close()


def test_a_thread_of_its_own_rings_and_many_asks_are_one_ring(path: Path, bell: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    ringer, rings, held, go = Ringer(path.parent), 0, threading.Event(), threading.Event()
    ring = ringer._ring

    def counted(bells: Sequence[str]) -> None:
        nonlocal rings
        rings += 1
        held.set()
        assert go.wait(PATIENCE)
        ring(bells)

    monkeypatch.setattr(ringer, "_ring", counted)
    ringer.ring_aside()
    assert held.wait(PATIENCE)
    for _ in range(100):
        ringer.ring_aside()  # nobody waits for the one that rings
    go.set()
    ringer.close()
    assert rings == 2
    assert [bell.recv(16) for _ in range(2)] == [b"\0", b"\0"]


def test_where_nobody_listens_no_thread_is_made(path: Path) -> None:
    ringer = Ringer(path.parent)
    ringer.ring_aside()
    assert not ringer.can_ring_aside()
    assert ringer._thread is None
    ringer.close()


def test_where_no_thread_can_be_made_it_rings_by_itself(path: Path, bell: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    ringer = Ringer(path.parent)
    ringer.ring_aside()
    assert bell.recv(16) == b"\0"
    ringer.close()
