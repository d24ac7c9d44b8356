"""Feeding one subscription. Ticks are called by hand."""

from typing import Any

import pytest

from penstock.engine.feeder import POLL, Feeder
from penstock.errors import StoreUnavailable
from penstock.model.log import Fed, SubscriptionSpec, TopicSpec
from tests.unit.engine.scripted import Bench, Recorder, ScriptedStore, Task, soon, ties


class Trough:
    def __init__(self) -> None:
        self.store = ScriptedStore()
        self.signals = Recorder(self.store.watch)
        self.now = 100.0
        parts: Any = (self.store.log, self.store.leases)
        self.feeder = Feeder(parts, "inventory", 1, 15.0, ties(self.signals), lambda: self.now)

    def hold(self, *fed: Fed) -> None:
        self.store.log.unfed["inventory"] = list(fed)


async def test_it_feeds_until_there_is_no_more() -> None:
    trough = Trough()
    trough.hold(Fed(1_000, more=True), Fed(7, more=False))
    assert [await trough.feeder.tick() for _ in range(3)] == [0, POLL, POLL]
    assert trough.signals.points == ["fed", "fed"]


async def test_a_full_queue_is_looked_at_again_soon() -> None:
    trough = Trough()
    trough.hold(Fed(0, more=True, full=True))
    assert 0 < await trough.feeder.tick() < 0.1
    assert trough.signals.points == []


async def test_what_an_open_transaction_holds_back_is_looked_at_again_soon() -> None:
    trough = Trough()
    trough.hold(Fed(0, more=False, held=True))
    assert 0 < await trough.feeder.tick() <= 0.1


async def test_only_who_holds_its_lease_feeds() -> None:
    trough = Trough()
    trough.store.leases.leads = lambda: False
    assert await trough.feeder.tick() == POLL
    trough.store.leases.leads = lambda: True
    await trough.feeder.tick()
    assert trough.store.log.asked == []  # it asked for the lease a moment ago
    trough.now += POLL
    await trough.feeder.tick()
    assert trough.store.log.asked == ["inventory"]


async def test_a_lease_that_cannot_be_renewed_is_over_when_it_is() -> None:
    trough = Trough()
    await trough.feeder.tick()
    asked: list[float] = []

    def fail() -> bool:
        asked.append(trough.now)
        raise StoreUnavailable("locked")

    trough.store.leases.leads = fail
    trough.now += 4.9
    await trough.feeder.tick()
    assert asked == []
    trough.now += 0.2
    with pytest.raises(StoreUnavailable):
        await trough.feeder.tick()
    trough.store.leases.leads = lambda: False
    await trough.feeder.tick()
    assert trough.store.log.asked == ["inventory"] * 2


async def test_a_worker_declares_and_feeds_what_it_serves() -> None:
    topic = TopicSpec("orders")
    mine, others = (SubscriptionSpec(name, topic, "shop") for name in ("q", "elsewhere"))
    async with Bench(Task(soon), reads=((mine, others), (topic,))) as bench:
        await bench.store.watch.until(lambda: bool(bench.store.log.asked))
        bench.store.ring()
        await bench.store.watch.until(lambda: len(bench.store.log.asked) > 1)
    assert bench.store.log.declared == [((mine, others), (topic,))]
    assert set(bench.store.log.asked) == {"q"}
