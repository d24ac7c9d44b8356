"""Rescue, leadership, housekeeping. Ticks are called by hand; time is the test's."""

from types import SimpleNamespace
from typing import Any

from penstock.engine.beat import Vitals
from penstock.engine.leader import Leader
from penstock.engine.pruner import Pruner
from penstock.engine.rescuer import Rescuer
from penstock.errors import StoreUnavailable
from penstock.model.events import Trouble, WorkerRescued
from penstock.ports.leases import Rescued, Seen
from tests.unit.engine.scripted import Recorder, ScriptedStore, ties

LEASE = 15.0


class Ward:
    def __init__(self) -> None:
        self.store = ScriptedStore()
        self.leases = self.store.leases
        self.signals = Recorder(self.store.watch)
        self.now = 100.0
        self.woken = 0
        leases: Any = self.leases
        self.beat: Any = SimpleNamespace(written=self.now)
        self.rescuer = Rescuer(leases, 1, self.beat, Vitals(LEASE, LEASE, monotonic=lambda: self.now), ties(self.signals))
        self.rescuer.rescued = self.wake

    def wake(self) -> None:
        self.woken += 1

    async def look(self, *seen: Seen) -> None:
        self.leases.seen = list(seen)
        await self.rescuer.tick()

    async def watch_for(self, seconds: float, *seen: Seen, beats: bool = True) -> None:
        for _ in range(round(seconds * 4)):
            self.now += 0.25
            self.beat.written = self.now if beats else self.beat.written
            await self.look(*seen)


async def test_one_known_to_be_gone_is_rescued_at_once() -> None:
    ward = Ward()
    await ward.look(Seen(7, 3, gone=True))
    assert ward.leases.rescued == [(7, 3)] and ward.woken == 1
    assert ward.signals.of(WorkerRescued) == [WorkerRescued(7, 1, 0)]


async def test_a_beat_that_stands_still_for_a_lease() -> None:
    ward = Ward()
    await ward.look(Seen(7, 3, gone=False))
    await ward.watch_for(LEASE - 0.25, Seen(7, 3, gone=False))
    assert ward.leases.rescued == []
    await ward.watch_for(0.25, Seen(7, 3, gone=False))
    assert ward.leases.rescued == [(7, 3)]


async def test_one_that_beats_lives() -> None:
    ward = Ward()
    for beat in range(20):
        await ward.watch_for(LEASE / 3, Seen(7, beat, gone=False))
    assert ward.leases.rescued == []


async def test_a_rescuer_that_did_not_look_counts_anew() -> None:
    ward = Ward()
    await ward.look(Seen(7, 3, gone=False))
    ward.now += 3600
    await ward.look(Seen(7, 3, gone=False))
    assert ward.leases.rescued == []
    await ward.watch_for(LEASE, Seen(7, 3, gone=False))
    assert ward.leases.rescued == [(7, 3)]


async def test_a_rescuer_that_cannot_beat_itself_leaves_others_half_a_lease() -> None:
    """A store that stood still for everybody: they can beat once it goes on."""
    ward = Ward()
    await ward.look(Seen(7, 3, gone=False))
    await ward.watch_for(2 * LEASE, Seen(7, 3, gone=False), beats=False)
    assert ward.leases.rescued == []
    await ward.watch_for(LEASE / 2 - 0.5, Seen(7, 3, gone=False))
    assert ward.leases.rescued == []
    await ward.watch_for(0.75, Seen(7, 3, gone=False))
    assert ward.leases.rescued == [(7, 3)]


async def test_one_that_beat_in_the_last_instant_lives() -> None:
    ward = Ward()
    ward.leases.rescue_gives = lambda incarnation: None
    await ward.look(Seen(7, 3, gone=False))
    await ward.watch_for(LEASE, Seen(7, 3, gone=False))
    assert ward.leases.rescued == [(7, 3)] and not ward.signals.of(WorkerRescued) and not ward.woken
    ward.leases.rescue_gives = lambda incarnation: Rescued(incarnation, 0, 0)
    await ward.watch_for(LEASE, Seen(7, 4, gone=False))
    assert ward.leases.rescued == [(7, 3)]


async def test_one_that_cannot_be_rescued_keeps_nobody_from_others() -> None:
    ward = Ward()

    def rescue(incarnation: int) -> Rescued | None:
        if incarnation == 7:
            raise StoreUnavailable("another rescuer stands still with its locks")
        return Rescued(incarnation, 0, 0)

    ward.leases.rescue_gives = rescue
    await ward.look(Seen(7, 3, gone=True), Seen(8, 1, gone=True))
    assert ward.leases.rescued == [(7, 3), (8, 1)]
    assert ward.signals.of(WorkerRescued) == [WorkerRescued(8, 0, 0)]
    assert [type(each.error) for each in ward.signals.of(Trouble)] == [StoreUnavailable]
    await ward.look(Seen(7, 3, gone=True))
    assert ward.leases.rescued == [(7, 3), (8, 1), (7, 3)]


async def test_one_that_left_is_forgotten() -> None:
    ward = Ward()
    await ward.watch_for(LEASE - 1, Seen(7, 3, gone=False))
    await ward.look()
    await ward.watch_for(LEASE - 1, Seen(7, 3, gone=False))
    assert ward.leases.rescued == []


async def test_only_the_leader_keeps_house() -> None:
    ward = Ward()
    queue: Any = ward.store.queue
    leases: Any = ward.leases
    leader = Leader(leases, 1, LEASE, ties(ward.signals))
    log: Any = ward.store.log
    pruner = Pruner((queue, log), leader, ties(ward.signals))
    queue.expired.extend([1_000, 3])
    queue.pruned.extend([0, 0])
    await pruner.tick()
    assert len(queue.expired) == 2
    await leader.tick()
    assert await pruner.tick() < 0.1 and await pruner.tick() == 1.0
    assert not queue.expired and log.trims == 1


async def test_who_cannot_renew_does_not_lead() -> None:
    ward = Ward()
    leases: Any = ward.leases
    leader = Leader(leases, 1, LEASE, ties(ward.signals))
    await leader.tick()
    assert leader.leading

    def fail() -> bool:
        raise StoreUnavailable("locked")

    ward.leases.leads = fail
    try:
        await leader.tick()
    except StoreUnavailable:
        assert not leader.leading
    ward.leases.leads = lambda: False
    await leader.tick()
    assert not leader.leading
