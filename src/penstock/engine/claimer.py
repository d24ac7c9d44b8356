"""Leases messages to this worker, as much as can start soon.

- It asks when there is room (`Runner.room`) and reason to: the store rang, the last claim left something, a delayed message is
  due, or a second has passed (bells may be lost).
- It does not ask while 10,000 ends wait to be written, or while the worker cannot beat.
- A crash after the claim's commit costs a lease: the messages are rescued, each with one death more.

Suspects. A message under which two workers died runs alone, so that the third death names it. Whenever this worker holds
nothing and everything is settled, it lets a claim bring a suspect; while one is held, nothing is claimed. If suspects wait while
there is ordinary work, the worker takes turns: after a turn of about a second it lets what it holds run dry, and takes one. The
turn's length is random, so that not all workers run dry at the same time.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable

from penstock.engine.rotation import Rotation
from penstock.engine.runner import Runner
from penstock.engine.service import Service
from penstock.engine.settler import FULL, Settler
from penstock.engine.ties import Ties
from penstock.model.clock import SECOND, Clock
from penstock.model.events import Claimed as ClaimedEvent
from penstock.ports.queue import Claim, Claimed, Queue

POLL = 1.0
TURN = 1.0
_SHORTEST = 0.001


class Claimer(Service):
    def __init__(self, queue: Queue, clock: Clock, tasks: Iterable[str], work: tuple[Rotation, Runner, Settler], ties: Ties) -> None:
        super().__init__("claimer", ties)
        self.held_back = False
        """The worker cannot beat: what it claimed would soon be another's."""
        self._queue = queue
        self._clock = clock
        self._tasks = frozenset(tasks)
        self._rotation, self._runner, self._settler = work
        self._time = asyncio.get_running_loop().time
        self._news = True
        self._ask_at = 0.0
        self._alone = False
        self._suspects = False
        self._turn_ends = 0.0
        self._asked = 0
        self._found = False
        self._runner.hungry = self.nudge
        self._settler.settled = self.nudge

    def ring(self) -> None:
        """The store has news."""
        self._news = True
        self.wake()

    def nudge(self) -> None:
        """There is room, or everything is settled: worth a look only if something is wanted."""
        if not self._woken and (self._news or self._suspects or self._alone):
            self.wake()

    async def look(self) -> bool:
        """Ask the store once more, from now on. Whether it had anything."""
        goal = self._asked + (2 if self._woken is False and self._asking else 1)
        return goal > 0

    async def tick(self) -> float:
        now = self._time()
        if now >= self._ask_at:
            self._news = True
        if self._may_ask(now):
            self._take(await self._ask(), self._time())
        return self._rest(self._time())
