"""A put rings before its commit; a worker that it wakes gets the lock after that, and rehearses meanwhile."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from penstock.model.log import Event, TopicSpec
from penstock.model.message import Message
from penstock.model.statement import Program, Statement
from penstock.observe.signals import Signals
from penstock.ports.leases import Enrolment
from penstock.ports.queue import Claim
from penstock.stores.sql.operations import Run
from penstock.stores.sqlite import writer as writers
from penstock.stores.sqlite.doorbell import Ringer
from penstock.stores.sqlite.files import Folder
from penstock.stores.sqlite.store import SqliteStore
from penstock.stores.sqlite.writelock import WriteLock
from penstock.stores.sqlite.writer import Writer
from penstock.testing.conformance.ground import until

PATIENCE = 20
WORKER = Enrolment(1, "shop", "w", 1, "here", ("mail",), ("send",))
ASK = Claim(1, [("mail", 10)], frozenset({"send"}))


def messages(count: int) -> list[Message]:
    return [Message(f"m{n}", "mail", "send", b"{}") for n in range(count)]


def writer(store: SqliteStore) -> Writer:
    return store._threads.writer  # type: ignore[union-attr]


def until_it_sleeps(lock: WriteLock) -> None:
    """Whoever acquires it has tried, and waits now."""
    with lock._state:
        assert lock._state.wait_for(lambda: lock._asked, PATIENCE)


async def test_who_comes_by_the_bell_gets_behind_the_commit(path: Path, store: SqliteStore) -> None:
    loop = asyncio.get_running_loop()
    claims: list[asyncio.Task[Any]] = []

    async def ask() -> None:
        claims.append(asyncio.ensure_future(store.queue.claim(ASK)))

    def reach(point: str) -> None:
        if point == "put.before_commit" and bell.gettimeout():
            assert bell.recv(16)
            asyncio.run_coroutine_threadsafe(ask(), loop).result(PATIENCE)
            until_it_sleeps(writer(store)._access.lock)

    await store.leases.enrol(WORKER)
    producer = SqliteStore(str(path), signals=Signals(reach))
    await producer.open()
    await writer(store).submit(Run(Play().make, "play"))  # to enrol rings, too, by a thread: there is no bell yet
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.bind(f"{path}-penstock/bell-of-another")
        bell.setblocking(False)
        await producer.queue.put([Message("first", "web", "send", b"{}")])  # its ring starts the thread
        assert await loop.sock_recv(bell, 16)
        bell.settimeout(PATIENCE)
        await producer.queue.put(messages(1))
    claimed = await claims[0]
    assert [each.job_id for run in claimed.runs for each in run] == ["m0"]
    await producer.close()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    for name in ("ring", "ring_aside"):
        monkeypatch.setattr(Ringer, name, lambda _, name=name: told.append(name))
    monkeypatch.setattr(Ringer, "can_ring_aside", lambda _: True)
    return told


@pytest.fixture
async def noted(path: Path, told: list[str]) -> AsyncIterator[SqliteStore]:
    """Tells when it begins to write, and when it rings."""
    noted = SqliteStore(str(path), signals=Signals(lambda point: told.append(point) if point == "write.begun" else None))
    await noted.open()
    yield noted
    await noted.close()


FIRST, AFTERWARDS = ["ring_aside", "write.begun"], ["write.begun", "ring_aside"]


@pytest.mark.parametrize(("count", "order"), [(1, FIRST), (16, FIRST), (17, AFTERWARDS)])
async def test_a_put_of_a_few_rings_first(noted: SqliteStore, told: list[str], count: int, order: list[str]) -> None:
    await noted.queue.put(messages(count))
    assert told == order


async def test_where_no_thread_rings_yet_it_rings_afterwards(noted: SqliteStore, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ringer, "can_ring_aside", lambda _: False)
    await noted.queue.put(messages(1))
    assert told == AFTERWARDS


async def test_a_put_among_others_rings_when_all_is_committed(noted: SqliteStore, path: Path, told: list[str]) -> None:
    """Who looks for the others does so without the lock."""
    await noted.queue.put(messages(1))
    with locked(path):
        first = asyncio.ensure_future(noted.queue.put([Message("first", "mail", "send", b"{}")]))
        await asyncio.to_thread(until_it_sleeps, writer(noted)._access.lock)
        both = [noted.queue.put([Message("second", "mail", "send", b"{}")]), noted.queue.cancel("m0")]
        tasks = [asyncio.ensure_future(call) for call in both]
        await until(lambda: writer(noted)._inbox.qsize() == len(both), "both have asked")
        told.clear()
    await asyncio.gather(first, *tasks)
    assert told == [*FIRST, *AFTERWARDS]


async def test_what_is_looked_for_without_the_lock_rings_behind_its_commit(noted: SqliteStore, told: list[str]) -> None:
    await noted.queue.put(messages(1))
    told.clear()
    await noted.queue.cancel("m0")
    await noted.log.publish(TopicSpec("orders"), [Event("e-1", "OrderPlaced", b"{}")])
    await asyncio.to_thread(writer(noted).close)
    assert told == ["write.begun", "ring_aside", "write.begun", "ring"]


async def test_what_is_not_synced_is_answered_first(path: Path, told: list[str]) -> None:
    store = SqliteStore(str(path), signals=Signals(), durability="process")
    await store.open()
    await store.queue.put(messages(1))
    await store.close()
    assert told == ["ring"]


class Play:
    """A program that counts how often it was begun."""

    def __init__(self, *, fails_first: bool = False) -> None:
        self.begun = 0
        self._fails = fails_first

    def make(self, now: int) -> Program[str]:
        self.begun += 1
        yield Statement("scan_suspect", {}) if self._fails and self.begun == 1 else Statement("latest_floor")
        return "done"


@contextmanager
def locked(path: Path) -> Iterator[WriteLock]:
    lock = WriteLock(Folder(str(path)).path / "write.lock")
    lock.acquire()
    try:
        yield lock
    finally:
        lock.close()


async def rehearsals(store: SqliteStore, path: Path, play: Play, *, rehearses: bool = True) -> int:
    """How often it is begun while another has the lock. It ends well."""
    with locked(path):
        answer = asyncio.ensure_future(writer(store).submit(Run(play.make, "play", rehearses=rehearses)))
        await asyncio.to_thread(until_it_sleeps, writer(store)._access.lock)
        begun = play.begun
    assert await answer == "done"
    return begun


@pytest.mark.parametrize(("rehearses", "rest", "begun"), [(True, 0, 1), (True, 3_600, 0), (False, 0, 0)])
async def test_who_was_woken_rehearses(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch, rehearses: bool, rest: float, begun: int
) -> None:
    monkeypatch.setattr(writers, "_REST", rest)
    play = Play()
    assert await rehearsals(store, path, play, rehearses=rehearses) == begun
    assert play.begun == begun + 1


async def test_a_rehearsal_that_fails_is_nobodys_error(store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "_REST", 0)
    play = Play(fails_first=True)
    assert await rehearsals(store, path, play) == 1


async def test_nobody_rehearses_for_a_lock_that_is_free(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "_REST", 0)
    play = Play()
    assert await writer(store).submit(Run(play.make, "play", rehearses=True)) == "done"
    assert play.begun == 1
