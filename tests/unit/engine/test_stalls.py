"""Beats and a rescuer on a store that can stand still, in simulated time: who is dead is rescued in time, and nobody else is."""

import asyncio
import itertools
from typing import Any

import pytest

from penstock.engine.beat import Beat, Vitals
from penstock.engine.rescuer import REST, Rescuer
from penstock.model.clock import SECOND
from penstock.ports.leases import Rescued, Seen
from tests.unit.engine.scripted import Recorder, Watch, ties

STEP = 0.02
BUSY = 0.003
"""Seconds that a write takes."""
ME, OTHER = 1, 2


class Life:
    """The thread of one worker's beats. Its clock is ahead while it waits for the store."""

    def __init__(self, house: "House", incarnation: int, lease: float, phase: float = 0.0) -> None:
        self._house = house
        self.clock = self.wakes = phase
        self.lease = lease
        self.written = [phase]
        self.beat = Beat(self._write, Vitals(lease, stall_limit=1e9, monotonic=lambda: self.clock), ties(house.signals))

    def run(self, now: float) -> None:
        if now >= max(self.wakes, self.clock):
            self.clock = now
            self.beat.step()
            self.wakes = self.clock + self.beat.rest()

    def _write(self, blocked: str) -> bool:
        self.clock = self._house.end_of_write(self.clock)
        self.written.append(self.clock)
        return True

    def beats(self, now: float) -> int:
        return sum(at <= now for at in self.written)


class Proof:
    """What the rescuer knows of its own beats."""

    def __init__(self, house: "House", life: Life) -> None:
        self._house, self._life = house, life

    @property
    def written(self) -> float:
        return max(at for at in self._life.written if at <= self._house.now)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "pace":
            self._life.beat.pace = value
        else:
            super().__setattr__(name, value)


class House:
    """A store that cannot be written from `still[0]` to `still[1]`."""

    def __init__(self, mine: float, others: float, *, phase: float = 0.0, still: tuple[float, float] = (0, 0), lives: bool = True) -> None:
        self.signals = Recorder(Watch())
        self.now = 0.0
        self._still = still
        self._lives = lives
        self.me, self.other = Life(self, ME, mine), Life(self, OTHER, others, phase)
        proof: Any = Proof(self, self.me)
        leases: Any = self
        self.rescuer = Rescuer(leases, ME, proof, Vitals(mine, 1e9, monotonic=lambda: self.now), ties(self.signals))
        self.rescued: list[float] = []

    def end_of_write(self, begin: float) -> float:
        first, last = self._still
        end = begin + BUSY
        return last + BUSY if first < end and begin < last else end

    async def others(self, incarnation: int) -> list[Seen]:
        return [Seen(OTHER, self.other.beats(self.now), gone=False, lease=round(self.other.lease * SECOND))]

    async def rescue(self, incarnation: int, beat: int) -> Rescued:
        self.rescued.append(self.now)
        return Rescued(incarnation, 0, 0)

    async def live(self, seconds: float) -> None:
        looks = 0.0
        while self.now < seconds and not self.rescued:
            self.now += STEP
            self.me.run(self.now)
            if self._lives:
                self.other.run(self.now)
            if self.now >= looks:
                await self.rescuer.tick()
                looks = self.now + REST
            await asyncio.sleep(0)


@pytest.mark.parametrize(("mine", "others"), [*((n, n) for n in (1, 1.5, 2, 3, 3.2, 4, 5, 15, 60)), (15, 3), (3, 15), (15, 5), (60, 15)])
async def test_who_is_dead_is_rescued_within_a_lease_and_a_second(mine: float, others: float) -> None:
    house = House(mine, others, lives=False)
    await house.live(3 * others)
    assert others <= house.rescued[0] <= others + 1.1


@pytest.mark.parametrize(("mine", "others"), [(1.5, 1.5), (3, 3), (3.2, 3.2), (15, 15), (15, 5), (5, 15)])
async def test_nobody_is_dead_because_the_store_stood_still(mine: float, others: float) -> None:
    """However long, and whenever it began."""
    for length, begin, phase in itertools.product((0.4, 0.7, 1, 1.5, 3), (2, 2.1, 2.2, 2.3), (0.0, 0.13, 0.29)):
        first = begin * others
        house = House(mine, others, phase=phase * others, still=(first, first + length * others))
        await house.live(first + (length + 2) * others)
        assert not house.rescued, (length, begin, phase)


async def test_writes_that_take_their_time_keep_nobody_from_being_rescued() -> None:
    """Later, since nobody knows how long others wait for theirs."""
    house = House(15, 15, lives=False)
    house.end_of_write = lambda begin: begin + 4  # type: ignore[method-assign]
    await house.live(60)
    assert house.rescued
