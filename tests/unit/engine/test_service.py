"""Ticking, resting, starting and stopping."""

import asyncio
import math
from collections.abc import Callable
from itertools import pairwise
from random import Random
from time import get_clock_info

import pytest

from penstock.engine.service import FIRST_PAUSE, LONGEST_PAUSE, Service
from penstock.engine.supervisor import Supervisor
from penstock.errors import LeaseLost, StoreUnavailable
from penstock.model.events import Trouble
from tests.unit.engine.scripted import Recorder, Watch, soon, ties


class Ticker(Service):
    def __init__(self, watch: Watch, name: str = "ticker", lost: Callable[[], None] = lambda: None) -> None:
        self.signals = Recorder(watch)
        super().__init__(name, ties(self.signals, lost))
        self.watch = watch
        self.ticks = 0
        self.times: list[float] = []
        self.rest = math.inf
        self.errors: list[BaseException] = []
        self.inside = 0
        self.overlapped = False

    async def tick(self) -> float:
        self.ticks += 1
        self.times.append(asyncio.get_running_loop().time())
        self.watch.tell()
        self.inside += 1
        self.overlapped |= self.inside > 1
        try:
            await asyncio.sleep(0)
            if self.errors:
                raise self.errors.pop(0)
        finally:
            self.inside -= 1
        return self.rest


async def test_it_ticks_at_once_and_then_when_woken() -> None:
    ticker = Ticker(Watch())
    ticker.start()
    await ticker.watch.until(lambda: ticker.ticks == 1)
    for tick in range(2, 5):
        ticker.wake()
        await ticker.watch.until(lambda tick=tick: ticker.ticks == tick)  # type: ignore[misc]
    for _ in range(20):
        await asyncio.sleep(0)
    assert ticker.ticks == 4  # nobody woke it again
    await soon(ticker.stop())


async def test_a_wake_during_a_tick_brings_another() -> None:
    ticker = Ticker(Watch())
    ticker.start()
    await ticker.watch.until(lambda: ticker.inside)
    ticker.wake()
    ticker.wake()
    await ticker.watch.until(lambda: ticker.ticks == 2)
    await soon(ticker.stop())
    assert ticker.ticks == 2


async def test_it_rests_as_long_as_the_tick_said() -> None:
    ticker = Ticker(Watch())
    ticker.rest = 0.01
    ticker.start()
    await ticker.watch.until(lambda: len(ticker.times) >= 3)
    await soon(ticker.stop())
    rests = [later - earlier for earlier, later in pairwise(ticker.times)]
    assert all(rest >= 0.01 - get_clock_info("monotonic").resolution for rest in rests)


async def test_trouble_is_told_and_it_goes_on() -> None:
    ticker = Ticker(Watch())
    errors: list[BaseException] = [StoreUnavailable("locked"), ValueError("a bug")]
    ticker.errors = list(errors)
    ticker.start()
    await ticker.watch.until(lambda: ticker.ticks == 3)
    await soon(ticker.stop())
    assert ticker.signals.of(Trouble) == [Trouble("ticker", error) for error in errors]


async def test_a_wake_does_not_shorten_the_rest_after_trouble() -> None:
    ticker = Ticker(Watch())
    ticker.errors = [StoreUnavailable("locked")]
    ticker.start()
    await ticker.watch.until(lambda: ticker.signals.of(Trouble))
    for _ in range(20):
        ticker.wake()
        await asyncio.sleep(0)
    assert ticker.ticks == 1
    await soon(ticker.stop())


def test_pauses_grow_to_their_limit() -> None:
    ticker = Ticker.__new__(Ticker)
    ticker.ties = ties(Recorder.__new__(Recorder))
    pauses = [ticker._pause(failures) for failures in (1, 2, 3, 50, 5000)]
    assert FIRST_PAUSE / 2 <= pauses[0] <= FIRST_PAUSE
    assert LONGEST_PAUSE / 2 <= pauses[3] <= LONGEST_PAUSE and LONGEST_PAUSE / 2 <= pauses[4] <= LONGEST_PAUSE


async def test_a_lost_lease_is_no_trouble() -> None:
    lost: list[bool] = []
    ticker = Ticker(Watch(), lost=lambda: lost.append(True))
    ticker.errors = [LeaseLost("declared dead")]
    ticker.start()
    await ticker.watch.until(lambda: ticker.ticks)
    await soon(ticker.stop())
    assert lost == [True] and not ticker.signals.of(Trouble)


@pytest.mark.parametrize("seed", range(20))
async def test_start_and_stop_in_any_order(seed: int) -> None:
    """However often: ticks never overlap, after a stop there are none, after a start there are."""
    random, ticker = Random(seed), Ticker(Watch())
    stops: list[asyncio.Task[None]] = []
    for _ in range(60):
        match random.choice(["start", "stop", "wake", "pass", "fail"]):
            case "start":
                ticker.start()
            case "stop":
                stops.append(asyncio.ensure_future(ticker.stop()))
            case "wake":
                ticker.wake()
            case "pass":
                await asyncio.sleep(0)
            case "fail" if len(ticker.errors) < 2:
                ticker.errors.append(StoreUnavailable("locked"))
    await soon(ticker.stop(), *stops)
    ticks = ticker.ticks
    ticker.wake()
    await asyncio.sleep(0)
    assert ticker.ticks == ticks and not ticker.overlapped
    ticker.errors.clear()
    ticker.start()
    await ticker.watch.until(lambda: ticker.ticks > ticks)
    await soon(ticker.stop(), ticker.stop())


async def test_services_stop_in_the_opposite_order() -> None:
    watch, order = Watch(), list[str]()

    class Noting(Ticker):
        async def stop(self) -> None:
            await super().stop()
            order.append(f"-{self.name}")

        def start(self) -> None:
            super().start()
            order.append(f"+{self.name}")

    supervisor = Supervisor([Noting(watch, "a"), Noting(watch, "b")])
    supervisor.start()
    await soon(supervisor.stop())
    assert order == ["+a", "+b", "-b", "-a"]
