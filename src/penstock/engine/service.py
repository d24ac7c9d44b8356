"""A loop of its own: tick, rest, tick.

A tick that raises is told as `Trouble` and tried again after a rest that grows from 0.1 to 5 s; a wake does not shorten that
rest, so a store that fails and rings is not asked in a circle. `LeaseLost` is no trouble: it ends this incarnation.
Start and stop may come in any order, any number of times; two ticks of one service never overlap.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod

from penstock.engine.ties import Ties
from penstock.errors import LeaseLost

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
STOP_PATIENCE = 5.0
"""Seconds that a tick under way may take when the service stops; then it is cancelled."""


class _Life:
    """From a start to its stop."""

    over = False


class Service(ABC):
    def __init__(self, name: str, ties: Ties) -> None:
        self.name = name
        self.ties = ties
        self._life: _Life | None = None
        self._task: asyncio.Task[None] | None = None
        self._alarm: asyncio.Future[None] | None = None
        self._woken = False
        self._deaf = False

    @abstractmethod
    async def tick(self) -> float:
        """Do what there is to do; return the seconds to rest (`inf`: until woken)."""

    def wake(self) -> None:
        """Tick again now, or right after the tick under way. On the loop's thread."""
        self._woken = True
        if not self._deaf:
            self._ring()

    def start(self) -> None:
        if self._life is None:
            self._life = _Life()
            self._task = asyncio.get_running_loop().create_task(self._live(self._life, self._task), name=f"penstock-{self.name}")

    async def stop(self) -> None:
        """Returns when no tick is under way."""
        life, self._life = self._life, None
        if life is not None:
            life.over = True
            self._ring()
        if self._task is not None and not self._task.done():
            _, late = await asyncio.wait({self._task}, timeout=STOP_PATIENCE)
            for task in late:
                task.cancel()
                await asyncio.wait({task})

    async def _live(self, life: _Life, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            await asyncio.wait({earlier})
        failures = 0
        while not life.over:
            self._woken = False
            try:
                rest = await self.tick()
                failures = 0
            except LeaseLost:
                self.ties.lost()
                rest = math.inf
            except Exception as error:
                self.ties.trouble(self.name, error)
                failures += 1
                await self._rest(life, self._pause(failures), deaf=True)
                continue
            if not self._woken and rest > 0:
                await self._rest(life, rest, deaf=False)

    def _pause(self, failures: int) -> float:
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 10))
        return longest * (0.5 + self.ties.random.random() / 2)

    async def _rest(self, life: _Life, seconds: float, *, deaf: bool) -> None:
        if life.over:
            return
        loop = asyncio.get_running_loop()
        self._deaf = deaf
        self._alarm = loop.create_future()
        timer = loop.call_later(seconds, self._ring) if seconds < math.inf else None
        try:
            await self._alarm
        finally:
            self._alarm = None
            self._deaf = False
            if timer is not None:
                timer.cancel()

    def _ring(self) -> None:
        if self._alarm is not None and not self._alarm.done():
            self._alarm.set_result(None)
