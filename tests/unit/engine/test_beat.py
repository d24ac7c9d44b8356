"""Proof of life, and the watch over the loop. Steps are made by hand; time is the test's."""

import asyncio
import threading
from typing import Any

from penstock.engine.beat import EXIT_STALLED, Beat, Vitals
from penstock.engine.pulse import Pulse
from penstock.errors import StoreUnavailable
from penstock.model.events import LoopBlocked, Trouble
from tests.unit.engine.scripted import Recorder, Watch, soon, ties


class Chest:
    def __init__(self, lease: float = 15.0) -> None:
        self.watch = Watch()
        self.signals = Recorder(self.watch)
        self.now = 100.0
        self.beats = 0
        self.blocked = ""
        self.takes = 0.0
        self.answer: bool | Exception = True
        self.lost: list[bool] = []
        self.exits: list[int] = []
        self.vitals = Vitals(lease, stall_limit=60.0, monotonic=lambda: self.now, exit=self.exits.append)
        self.ties = ties(self.signals, lambda: self.lost.append(True))
        self.beat = Beat(self._beat, self.vitals, self.ties)

    def _beat(self, blocked: str) -> bool:
        self.beats += 1
        self.blocked = blocked
        self.now += self.takes
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def live(self, seconds: float, blocked: bool = False) -> None:
        for _ in range(round(seconds)):
            self.now += 1.0
            self.beat.step()
            if not blocked:
                await asyncio.sleep(0)


async def test_it_beats_every_third_of_a_lease() -> None:
    chest = Chest()
    chest.beat.step()
    await chest.live(30)
    assert chest.beats == 7 and chest.beat.last == chest.now


async def test_what_a_slow_beat_proves() -> None:
    """A life at its beginning, since a rescuer counts from there; a store that can be written at its end."""
    chest = Chest()
    chest.takes = 4.0
    chest.beat.step()
    assert (chest.beat.last, chest.beat.written) == (100.0, 104.0)
    chest.answer = StoreUnavailable("locked")
    await chest.live(10)
    assert (chest.beat.last, chest.beat.written) == (100.0, 104.0)


async def test_it_beats_while_the_loop_is_blocked() -> None:
    chest = Chest()
    await chest.live(30, blocked=True)
    assert chest.beats == 6


async def test_a_blocked_loop_is_told_once_with_its_stack() -> None:
    chest = Chest()
    await chest.live(3)
    await chest.live(20, blocked=True)
    (blocked,) = chest.signals.of(LoopBlocked)
    assert chest.blocked == blocked.stack, "written with a beat"
    assert 5 <= blocked.seconds < 7 and "test_a_blocked_loop_is_told_once" in blocked.stack
    await chest.live(6)
    assert chest.blocked == ""
    await chest.live(8, blocked=True)
    assert len(chest.signals.of(LoopBlocked)) == 2


async def test_a_stalled_loop_ends_the_process() -> None:
    chest = Chest()
    await chest.live(59, blocked=True)
    assert not chest.exits
    await chest.live(3, blocked=True)
    assert set(chest.exits) == {EXIT_STALLED}


async def test_a_process_that_was_stopped_blames_nobody() -> None:
    chest = Chest()
    await chest.live(3)
    chest.now += 3600
    await chest.live(1, blocked=True)
    assert not chest.exits and not chest.signals.of(LoopBlocked)


async def test_declared_dead() -> None:
    chest = Chest()
    chest.answer = False
    await chest.live(6)
    assert chest.lost == [True]


async def test_beats_that_fail_are_trouble_and_tried_again_soon() -> None:
    chest = Chest()
    chest.answer = StoreUnavailable("locked")
    await chest.live(10)
    assert chest.beats > 5 and len(chest.signals.of(Trouble)) == chest.beats and chest.beat.last == 100.0


async def test_without_beats_for_two_thirds_of_the_lease_the_worker_faints() -> None:
    chest, faints = Chest(), list[bool]()
    pulse = Pulse(chest.beat, chest.vitals, faints.append, chest.ties)
    chest.now += 10
    await pulse.tick()
    assert faints == []
    chest.now += 1
    await pulse.tick()
    await pulse.tick()
    assert faints == [True]
    await chest.live(1)
    await pulse.tick()
    assert faints == [True, False]


async def test_the_thread_starts_and_stops() -> None:
    chest = Chest()
    beaten = asyncio.Event()
    loop = asyncio.get_running_loop()

    def beat(blocked: str) -> bool:
        loop.call_soon_threadsafe(beaten.set)
        return True

    thread = Beat(beat, Vitals(15.0, 60.0), chest.ties)
    for _ in range(20):
        thread.start()
        thread.start()
        await soon(thread.stop(), thread.stop())
    thread.start()
    await soon(beaten.wait(), thread.stop())
    assert not chest.signals.of(Trouble)


async def test_a_beat_that_hangs_does_not_keep_the_worker() -> None:
    chest, free = Chest(), threading.Event()
    begun: Any = asyncio.Event()
    loop = asyncio.get_running_loop()

    def beat(blocked: str) -> bool:
        loop.call_soon_threadsafe(begun.set)
        return free.wait(30)

    thread = Beat(beat, Vitals(15.0, 60.0), chest.ties)
    thread.start()
    await soon(begun.wait(), thread.stop())
    assert isinstance(chest.signals.of(Trouble)[0].error, TimeoutError)
    free.set()
