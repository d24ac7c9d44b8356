"""Kills workers with SIGKILL, and times how long it takes until what they held is visible again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from random import Random

from msgspec import Struct

from penstock.cli.demo.roles import Held, Role
from penstock.model.clock import SECOND
from penstock.model.job import WorkerView
from penstock.ports.store import Store

LOOK = 0.01


class Kill(Struct):
    at: int
    """µs."""
    pid: int
    worker: str
    """The incarnation, as it stands in the history of the jobs that it held."""
    held: int
    """Jobs in its hands when we last looked."""
    roles: tuple[Role, ...] = ()
    """That it had, for all workers: the feeder of a subscription, the scheduler."""
    back_after: float | None = None
    """Seconds until the registry had it dead and its work was visible again."""


class Planned(Struct, frozen=True):
    at: float
    """Seconds into the run."""
    aim: Role | None
    """Only a worker with that role; None: any."""


AIMS: Sequence[Role | None] = (None, None, "feeder", None, "scheduler")


def plan_kills(kills: int, seconds: float, random: Random) -> list[Planned]:
    """One random moment in each of `kills` equal slices of the run; its first and last tenth are spared."""
    slice = seconds * 0.8 / max(kills, 1)
    return [Planned(seconds * 0.1 + slice * (n + random.random()), AIMS[n % len(AIMS)]) for n in range(kills)]


def aimed_at(alive: Sequence[WorkerView], held: Held, aim: Role | None) -> list[WorkerView]:
    return [worker for worker in alive if aim is None or aim in held.get(worker.incarnation, ())]


class Killer:
    def __init__(self, store: Store, held: Callable[[], Held], random: Random) -> None:
        self.kills: list[Kill] = []
        self._held = held
        self._store = store
        self._random = random
        self._watches: set[asyncio.Task[None]] = set()

    async def kill(self, *, spare: int, aim: Role | None = None) -> Kill | None:
        """A random worker, one with that role. None: no more than `spare` live just now, or nobody has the role."""
        known = {kill.worker for kill in self.kills}
        alive = [worker for worker in await self._store.inspect.workers() if _name(worker) not in known]
        held = self._held()
        aimed = aimed_at(alive, held, aim)
        if len(alive) <= spare or not aimed:
            return None
        victim = self._random.choice(aimed)
        roles = tuple(sorted(held.get(victim.incarnation, ())))
        kill = Kill(self._store.clock.now(), victim.pid, _name(victim), victim.running, roles)
        self.kills.append(kill)
        try:
            os.kill(victim.pid, signal.SIGKILL)
        except ProcessLookupError:  # it had died by itself; the history will tell
            self.kills.remove(kill)
            return None
        self._watches.add(asyncio.create_task(self._watch(kill)))
        return kill

    async def _watch(self, kill: Kill) -> None:
        while await self._is_listed(kill.worker):  # noqa: ASYNC110  (another process takes it off the list)
            await asyncio.sleep(LOOK)
        kill.back_after = (self._store.clock.now() - kill.at) / SECOND

    async def _is_listed(self, name: str) -> bool:
        return any(_name(worker) == name for worker in await self._store.inspect.workers())


def _name(worker: WorkerView) -> str:
    return f"{worker.incarnation:016x}"
