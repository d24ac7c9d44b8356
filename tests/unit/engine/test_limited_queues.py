"""Queues that give only what starts at once."""

import asyncio
from collections.abc import Sequence

import pytest

from penstock.engine import claimer
from penstock.errors import LeaseLost
from penstock.model.limit import Limit
from penstock.model.outcome import Done, Released
from tests.unit.engine.scripted import Bench, Task, soon

BUSY, LIMITED = "busy", "limited"


class Work:
    """A queue that has always something, and limited ones. Each run waits until it is let end."""

    def __init__(self, concurrency: int, limited: Sequence[str] = (LIMITED,)) -> None:
        self.begun: list[str] = []
        self._ends: list[asyncio.Event] = []
        tasks = [Task(lambda name=name: self._run(name), name=name, queue=name) for name in (BUSY, *limited)]
        self.bench = Bench(*tasks, concurrency=concurrency)
        self.bench.queue.limited = frozenset(limited)

    def put(self, name: str, count: int) -> None:
        for _ in range(count):
            self.bench.store.put(name, queue=name)

    async def started(self, count: int) -> None:
        await self.bench.watch.until(lambda: len(self.begun) >= count)

    def end_one(self) -> None:
        if self._ends:
            self._ends.pop(0).set()

    async def settle_down(self) -> None:
        for _ in range(30):
            await asyncio.sleep(0)

    async def _run(self, name: str) -> None:
        end = asyncio.Event()
        self.begun.append(name)
        self._ends.append(end)
        self.bench.watch.tell()
        await end.wait()


async def test_a_claim_says_how_many_slots_are_free() -> None:
    work = Work(concurrency=3)
    async with work.bench as bench:
        await bench.watch.until(lambda: bench.queue.claims)
        assert bench.queue.claims[0].slots == 3
        work.put(LIMITED, 5)
        await work.started(3)
        assert len(bench.queue.ready) == 2  # nothing is taken ahead
        for _ in range(3):
            work.end_one()
        await work.started(5)


async def test_beside_a_busy_queue_it_gets_every_other_slot() -> None:
    """Whose slots are always wanted by what was claimed ahead."""
    work = Work(concurrency=1)
    work.put(BUSY, 30)
    async with work.bench:
        await work.started(1)
        work.put(LIMITED, 30)
        for ended in range(20):
            work.end_one()
            await work.started(ended + 2)
        late = work.begun[4:]
        assert 7 <= late.count(LIMITED) <= 9 and late.count(BUSY) >= 7


async def test_many_slots_are_shared_too() -> None:
    work = Work(concurrency=4)
    work.put(BUSY, 60)
    async with work.bench:
        await work.started(4)
        work.put(LIMITED, 60)
        for ended in range(40):
            work.end_one()
            await work.started(ended + 5)
        assert min(work.begun.count(LIMITED), work.begun.count(BUSY)) >= 10


@pytest.mark.parametrize("slots", [1, 3])
async def test_limited_queues_take_turns(slots: int) -> None:
    names = ["a", "b", "c"]
    work = Work(slots, names)
    for name in names:
        work.put(name, 40)
    async with work.bench:
        await work.started(slots)
        for ended in range(60):
            work.end_one()
            await work.started(ended + slots + 1)
        assert min(map(work.begun.count, names)) >= 15


@pytest.mark.parametrize("busy", [0, 300])
async def test_a_suspect_gets_its_turn_beside_them(monkeypatch: pytest.MonkeyPatch, busy: int) -> None:
    """Though their slots are always taken, and one is saved for them."""
    monkeypatch.setattr(claimer, "TURN", 0.001)
    work = Work(2, [LIMITED, "bad"])
    work.put(LIMITED, 300)
    work.put(BUSY, busy)
    async with work.bench as bench, asyncio.timeout(10):
        await work.started(2)
        bench.queue.suspects.append(bench.store.delivery("bad", queue="bad", deaths=2))
        bench.store.ring()
        while "bad" not in work.begun:
            work.end_one()
            await work.settle_down()
        assert bench.queue.ready


async def test_a_slot_that_was_saved_for_nothing_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker took it meanwhile. Nobody rings."""
    work = Work(concurrency=1)
    work.put(BUSY, 5)
    async with work.bench as bench:
        await work.started(1)
        work.put(LIMITED, 1)
        await bench.watch.until(lambda: any(LIMITED in dict(claim.queues) for claim in bench.queue.claims))
        monkeypatch.setattr(claimer, "POLL", 3_600)
        bench.queue.ready = type(bench.queue.ready)(run for run in bench.queue.ready if run[0].queue != LIMITED)
        for ended in range(4):
            work.end_one()
            await work.started(ended + 2)
        assert work.begun == [BUSY] * 5


async def test_what_the_code_says_is_registered_once() -> None:
    """A worker that was declared dead says it not again: meanwhile a newer release may have started."""
    bench = Bench(Task(lambda: None), limits=[Limit("q", 3, "5/s")])
    async with bench:
        first = bench.worker.incarnation
        bench.store.leases.alive = lambda incarnation: incarnation != first
        bench.queue.claim_errors.append(LeaseLost("declared dead"))
        bench.store.ring()
        await soon(bench.watch.until(lambda: len(bench.store.leases.enrolled) == 2))
        assert [worker.limits for worker in bench.store.leases.enrolled] == [(Limit("q", 3, "5/s"),), None]


async def test_what_was_taken_ahead_goes_back_when_the_queue_is_limited() -> None:
    """Not what its limits let start: that starts with the next slot."""
    work = Work(concurrency=2)
    async with work.bench as bench:
        ahead = [bench.store.put(BUSY, queue=BUSY) for _ in range(3)]
        admitted = bench.store.put(BUSY, queue=BUSY, admitted=True)
        await work.started(2)
        await bench.watch.until(lambda: not bench.queue.ready)
        bench.store.settings.limits = frozenset([BUSY])
        bench.store.ring()
        assert await bench.outcome(ahead[2]) == Released()
        work.end_one()
        await work.started(3)
        work.end_one()
        work.end_one()
        assert await bench.outcome(admitted) == Done()
