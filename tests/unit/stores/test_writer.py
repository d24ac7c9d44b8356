"""Group commit: many calls, few commits, and nobody pays for another's mistake."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import NotFound, StoreError, StoreUnavailable
from penstock.model.job import JobFilter
from penstock.model.message import Message, Placed
from penstock.observe.signals import Signals
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite.store import SqliteStore
from penstock.testing.conformance.ground import until


def message(name: str) -> Message:
    return Message(name, "mail", "send", b"{}")


class Faults:
    """Raises at a point."""

    at = ""

    def __call__(self, point: str) -> None:
        if point == self.at:
            raise RuntimeError(f"injected at {point}")


class Gate:
    """Holds the writer at a commit, so that a group forms behind the one that it writes."""

    def __init__(self, path: Path) -> None:
        self.points: Counter[str] = Counter()
        self.store = SqliteStore(str(path), signals=Signals(self._reach))
        self._closed = False
        self._held, self._go = threading.Event(), threading.Event()

    async def together(self, *calls: Coroutine[Any, Any, Any]) -> list[Any]:
        """All of these are in the writer's inbox before it takes the next group."""
        writer = self.store._threads.writer  # type: ignore[union-attr]
        self._closed = True
        first = asyncio.ensure_future(self.store.queue.put([message("opens the gate")]))
        await asyncio.to_thread(self._held.wait)
        tasks = [asyncio.ensure_future(call) for call in calls]
        await until(lambda: writer._inbox.qsize() == len(calls), "everybody has asked")
        self._closed = False
        self._go.set()
        await first
        return await asyncio.gather(*tasks, return_exceptions=True)

    def _reach(self, point: str) -> None:
        self.points[point] += 1
        if self._closed and point == "put.before_commit":
            self._held.set()
            self._go.wait()


@pytest.fixture
async def gate(path: Path) -> AsyncIterator[Gate]:
    gate = Gate(path)
    await gate.store.open()
    await gate.store.queue.put([message("taken")])
    gate.points.clear()
    yield gate
    await gate.store.close()


async def test_many_puts_share_a_commit(gate: Gate) -> None:
    placed = await gate.together(*(gate.store.queue.put([message(f"m{n}")]) for n in range(100)))
    assert placed == [[Placed(f"m{n}")] for n in range(100)]
    assert gate.points["put.before_commit"] == 2


@pytest.mark.parametrize("count", [2, 3, 4, 5])
async def test_each_member_gets_its_own_answer(gate: Gate, count: int) -> None:
    calls: list[list[str]] = [["a", "b"], [], ["c", "d", "e"], [], ["f"]][:count]
    placed = await gate.together(*(gate.store.queue.put([message(name) for name in names]) for names in calls))
    assert placed == [[Placed(name) for name in names] for names in calls]


async def test_only_the_member_with_bad_data_gets_the_error(gate: Gate) -> None:
    queue = gate.store.queue
    good, bad, missing, last = await gate.together(
        queue.put([message("good")]),
        queue.put([message("fresh"), message("taken")]),
        queue.cancel("no such job"),
        queue.put([message("last")]),
    )
    assert (good, last) == ([Placed("good")], [Placed("last")])
    assert isinstance(bad, StoreError)
    assert isinstance(missing, NotFound)
    assert await gate.store.inspect.job("fresh") is None
    view = (await gate.store.inspect.queues())[0]
    assert view.waiting == 4


async def test_nothing_is_counted_as_waiting_once_it_is_written(gate: Gate) -> None:
    await gate.together(*(gate.store.queue.put([message(f"m{n} {i}") for i in range(n % 7)]) for n in range(200)))
    assert gate.store._threads.writer.waiting == 0  # type: ignore[union-attr]


async def test_an_error_after_the_commit_is_not_written_again(path: Path) -> None:
    """Whoever listens may fail: what was committed stays committed once."""
    faults = Faults()
    store = SqliteStore(str(path), signals=Signals(faults))
    await store.open()
    faults.at = "put.after_commit"
    outcomes = await asyncio.gather(*(store.queue.put([message(name)]) for name in "abc"), return_exceptions=True)
    faults.at = ""
    assert [type(outcome) for outcome in outcomes] == [RuntimeError] * 3
    assert sorted(job.id for job in (await store.inspect.jobs(JobFilter(), limit=9)).jobs) == ["a", "b", "c"]
    await store.close()


async def test_what_was_accepted_is_written_before_closing(path: Path) -> None:
    store = SqliteStore(str(path), signals=Signals())
    await store.open()
    await store.queue.put([message("the first one looks for room")])
    puts = [asyncio.ensure_future(store.queue.put([message(f"m{n}")])) for n in range(50)]
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.gather(*puts) == [[Placed(f"m{n}")] for n in range(50)]
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.queue.put([message("too late")])
    await store.close()


async def test_a_loop_that_is_gone_stops_nobody(store: SqliteStore) -> None:
    """Its answers have nowhere to go; the next caller gets his."""

    def ask_and_leave() -> None:
        loop = asyncio.new_event_loop()
        loop.call_soon(lambda: loop.create_task(store.queue.put([message("asked")])))
        loop.call_later(0, loop.stop)
        loop.run_forever()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    await asyncio.to_thread(ask_and_leave)
    assert await store.queue.put([message("next")]) == [Placed("next")]


async def test_one_that_stays_locked_is_told_and_goes_on(store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BUSY", 0.02)
    impatient = SqliteStore(str(path), signals=Signals())
    await impatient.open()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    puts = (impatient.queue.put([message(name)]) for name in "ab")
    errors = await asyncio.gather(*puts, return_exceptions=True)
    assert [type(error) for error in errors] == [StoreUnavailable, StoreUnavailable]
    assert "write lock" in str(errors[0])
    with pytest.raises(StoreUnavailable, match="begin a transaction"):
        await impatient.transaction().execute("select 1", {})
    other.execute("rollback")
    other.close()
    assert await impatient.queue.put([message("c")]) == [Placed("c")]
    await impatient.close()
    assert [job.id for job in (await store.inspect.jobs(JobFilter(), limit=9)).jobs] == ["c"]


async def test_whatever_is_written_can_be_stopped_before_it_happens(tmp_path: Path) -> None:
    """Also what has no point of its own: a claim, a beat, a leaving."""
    faults = Faults()
    store = SqliteStore(str(tmp_path / "store.db"), signals=Signals(faults))
    await store.open()
    faults.at = "write.begun"
    for write in (store.queue.expire(1), store.settings.write("queue:mail", "paused", "true", "me")):
        with pytest.raises(RuntimeError, match=r"injected at write\.begun"):
            await write
    faults.at = ""
    assert (await store.settings.rules()).paused == frozenset()
    await store.close()
