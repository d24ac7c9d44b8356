"""Writing ends: batches, order, errors of the store."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from penstock.engine.settler import Settler
from penstock.errors import PublishUnknown, StoreError, StoreFull
from penstock.model.events import Settled, Trouble
from penstock.model.outcome import Dead, Done, Failed, Failure, Outcome, Released
from tests.unit.engine.scripted import NOW, Recorder, ScriptedStore, soon, ties

DONE = Done()
FAILED = Failed(NOW, Failure("OSError", "no", ""))


class Desk:
    def __init__(self) -> None:
        self.store = ScriptedStore()
        self.queue = self.store.queue
        self.signals = Recorder(self.store.watch)
        self.settler = Settler(self.store.queue, 42, ties(self.signals))  # type: ignore[arg-type]

    def add(self, count: int, outcome: Outcome = DONE) -> list[int]:
        deliveries = [self.store.delivery() for _ in range(count)]
        for delivery in deliveries:
            self.settler.add(delivery, outcome)
        return [delivery.seq for delivery in deliveries]

    def written(self) -> list[int]:
        return [settlement.delivery.seq for settlement in self.queue.settled]

    def batches(self) -> list[int]:
        return [event.count for event in self.signals.of(Settled)]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    desk.settler.start()
    yield desk
    await desk.settler.stop()


async def test_while_one_batch_is_written_the_next_forms(desk: Desk) -> None:
    desk.queue.gate = asyncio.Event()
    first = desk.add(1)
    await desk.store.watch.until(lambda: desk.signals.points)
    rest = desk.add(20)
    desk.queue.gate.set()
    await soon(desk.settler.flush())
    assert desk.written() == first + rest and desk.batches() == [1, 20]
    assert set(desk.queue.owners) == {42}


async def test_a_batch_has_its_limit(desk: Desk) -> None:
    seqs = desk.add(2_500)
    await soon(desk.settler.flush())
    assert desk.written() == seqs and desk.batches() == [1_000, 1_000, 500]


async def test_the_rest_of_a_run_goes_with_what_ended_it_beyond_the_limit(desk: Desk) -> None:
    """The batch is full with the failed one; a crash behind it would leave the rest held."""
    seqs = desk.add(999) + desk.add(1, FAILED) + desk.add(31, Released()) + desk.add(1)
    await soon(desk.settler.flush())
    assert desk.written() == seqs and desk.batches() == [1_031, 1]


@pytest.mark.parametrize("error", [StoreFull("no space"), PublishUnknown("no reply")])
async def test_a_batch_is_kept_over_errors_of_the_store(desk: Desk, error: Exception) -> None:
    desk.queue.settle_errors.extend([error] * 2)
    seqs = desk.add(3)
    await soon(desk.settler.flush())
    assert desk.written() == seqs and desk.batches() == [3]
    assert [trouble.error for trouble in desk.signals.of(Trouble)] == [error] * 2
    assert desk.settler.unsettled == 0


async def test_flush_does_not_wait_for_what_comes_later(desk: Desk) -> None:
    desk.add(1)
    flush = asyncio.ensure_future(desk.settler.flush())
    await desk.store.watch.until(lambda: desk.signals.points)
    gate = asyncio.Event()
    desk.settler.settled = lambda: setattr(desk.queue, "gate", gate)
    desk.add(1)
    await soon(flush)
    assert desk.settler.unsettled == 1
    gate.set()


async def test_flush_of_nothing_returns(desk: Desk) -> None:
    await soon(desk.settler.flush())
    assert not desk.batches() and "settle.begin" not in desk.signals.points


@pytest.mark.parametrize("kind", [TypeError, StoreError])
async def test_one_bad_settlement_does_not_keep_the_others(desk: Desk, kind: type[Exception]) -> None:
    """A plain `StoreError` is of what was to be written; its subclasses are of the store."""
    seqs = desk.add(9)
    bad = seqs[4]
    desk.queue.refused = lambda one: kind("bad") if one.delivery.seq == bad and not isinstance(one.outcome, Dead) else None
    await soon(desk.settler.flush())
    assert sorted(desk.written()) == seqs
    outcome = desk.queue.outcomes()[bad]
    assert isinstance(outcome, Dead) and outcome.error and outcome.error.message == "bad"


async def test_an_error_that_hits_all_makes_nobody_dead(desk: Desk) -> None:
    desk.queue.settle_errors.extend([TypeError("a bug") for _ in range(3)])
    seqs = desk.add(2)
    await soon(desk.settler.flush())
    assert sorted(desk.written()) == seqs and set(desk.queue.outcomes().values()) == {Done()}


async def test_what_cannot_even_be_dead_is_left_held(desk: Desk) -> None:
    (bad,) = desk.add(1)
    desk.queue.refused = lambda one: TypeError("bad") if one.delivery.seq == bad else None
    await desk.store.watch.until(lambda: desk.signals.of(Trouble))
    desk.add(1)
    await soon(desk.settler.flush())
    while desk.settler.unsettled:
        desk.add(1)
        await soon(desk.settler.flush())
    assert bad not in desk.written()
    assert len(desk.signals.of(Trouble)) >= 3


async def test_stop_keeps_nobody_waiting() -> None:
    desk = Desk()
    desk.settler.start()
    desk.queue.settle_errors.extend([StoreFull("no space")] * 100)
    desk.add(1)
    flush = asyncio.ensure_future(desk.settler.flush())
    await desk.store.watch.until(lambda: desk.signals.of(Trouble))
    await soon(desk.settler.stop(), flush)
    assert desk.settler.unsettled == 1
