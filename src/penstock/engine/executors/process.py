"""`isolation="process"`: handlers in child processes, which can be killed whatever they do.

- Children are spawned on demand, up to a limit, and used again; one that had nothing to do for a while leaves. What is more than they
  can do waits here, with its timeout not begun.
- Killed at once: at the timeout, when the worker stops, when the lease is lost, and above `memory`. A cancellation is told first, and
  killed after 5 s. A kill for the job's own fault (timeout, memory) is a failed attempt; any other is not.
- A child that dies is a failed attempt of the job it had, and of no other.
- A child whose worker dies, dies: the kernel kills it (Linux), and the end of its socket tells it.
- Decoding, middleware, `on_error` and what an error means stay in the worker. What a child says cannot run code here.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from msgspec import Struct

from penstock.engine.executors.child import LEAVE_PATIENCE, Answer, Child, Died, start_child
from penstock.engine.executors.meaning import done, error_of
from penstock.engine.executors.memory import MemoryWatch, resident, watchable
from penstock.engine.executors.words import Raised, Returned
from penstock.engine.nursery import Nursery
from penstock.engine.running import Running
from penstock.engine.stages.invoke import Remote, Told
from penstock.engine.table import Table
from penstock.errors import ConfigurationError
from penstock.model.delivery import Delivery
from penstock.model.outcome import Done
from penstock.ports.handler import Route, Routes

CANCEL_PATIENCE = 5.0
"""Seconds that a handler has to end in, once it was told that its job is cancelled."""
KILL_PATIENCE = 1.0
"""Seconds that a killed process may take to be gone: it is when the kernel says so, unless it hangs in a device."""


class Limits(Struct, frozen=True):
    """Of one worker. `idle` in seconds; None: no limit of jobs."""

    children: int
    jobs: int | None = None
    idle: float = 60.0


class Processes:
    """The children of one incarnation."""

    def __init__(self, nursery: Nursery | None, limits: Limits, table: Table) -> None:
        self.told: Told = lambda seq, fraction, note: None
        """Called with what handlers tell of their progress, on the loop."""
        self._nursery = nursery
        self._limits = limits
        self._table = table
        self._loop = asyncio.get_running_loop()
        self._places = asyncio.Semaphore(limits.children)
        self._children: set[Child] = set()
        self._at: dict[int, Child] = {}
        """By the seq of the job."""
        self._idle: list[Child] = []
        self._memory = MemoryWatch(self._loop)
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False

    def on_process(self, route: Route) -> Remote:
        limit = route.memory

        async def call(delivery: Delivery) -> Done:
            running = self._table.get(delivery.seq)
            if running is None:  # given up meanwhile
                raise asyncio.CancelledError
            left = self._table.suspend(running)
            async with self._places:
                child = await self._ready_child(limit)
                try:
                    self._table.resume(running, left)
                    return await self._attend(child, delivery, running, limit)
                finally:
                    self._take_back(child)

        return call

    def whereabouts(self, delivery: Delivery) -> str:
        child = self._at.get(delivery.seq)
        return f"child process {child.pid}\n" if child is not None else ""

    async def close(self) -> None:
        """Returns when all are gone, or cannot be killed. No other one is made."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for child in self._children:
            if child in self._idle:
                child.leave()
            else:
                child.kill()
        self._idle.clear()
        await self._all_gone(LEAVE_PATIENCE)
        for child in self._children:
            child.kill()
        await self._all_gone(KILL_PATIENCE)

    # -- a job

    async def _attend(self, child: Child, delivery: Delivery, running: Running, limit: int | None) -> Done:
        answer = child.give(delivery)
        self._at[delivery.seq] = child
        if limit is not None:
            self._memory.watch(child.pid, limit, child.kill)
        try:
            await self._answered(child, answer, running)
        finally:
            self._memory.forget(child.pid)
            del self._at[delivery.seq]
        match answer.result():
            case Returned() as returned:
                return done(returned)
            case Raised() as raised:
                raise error_of(raised)
            case Died(error):
                raise error
            case word:
                raise AssertionError(f"a child answered a job with {word!r}")

    async def _answered(self, child: Child, answer: asyncio.Future[Answer], running: Running) -> None:
        """Cancelled: it is killed, and gone."""
        try:
            await asyncio.wait({answer})
        except asyncio.CancelledError:
            if running.reason == "cancel" and await self._ends_by_itself(child, answer):
                return
            child.kill()
            with suppress(TimeoutError):
                async with asyncio.timeout(KILL_PATIENCE):
                    await child.gone.wait()
            raise

    async def _ends_by_itself(self, child: Child, answer: asyncio.Future[Answer]) -> bool:
        """Stopped once more (the worker stops): it does not."""
        child.stop()
        with suppress(asyncio.CancelledError):
            await asyncio.wait({answer}, timeout=CANCEL_PATIENCE)
        return answer.done()

    # -- children

    async def _ready_child(self, limit: int | None) -> Child:
        while self._idle:
            child = self._idle.pop()
            if child.over:
                continue
            if limit is None or resident(child.pid) <= limit / 2:
                return child
            child.leave()  # it would be blamed for what others left in it
        return await self._new_child()

    async def _new_child(self) -> Child:
        if self._nursery is None or self._closed:  # `check` saw to the first; after the other nobody waits any more
            raise asyncio.CancelledError
        child = await start_child(self._nursery.command, lambda *progress: self.told(*progress))
        self._children.add(child)
        self._children = {each for each in self._children if not each.gone.is_set()}
        try:
            await child.ready(self._nursery.home)
        except BaseException:
            child.kill()
            raise
        return child

    def _take_back(self, child: Child) -> None:
        if child.over:
            return
        if self._limits.jobs is not None and child.jobs >= self._limits.jobs:
            child.leave()
            return
        child.idle_since = self._loop.time()
        self._idle.append(child)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(self._limits.idle, self._sweep)

    def _sweep(self) -> None:
        """Those that had nothing to do for long leave; the others are looked at again."""
        now, idle = self._loop.time(), self._limits.idle
        for child in [child for child in self._idle if now - child.idle_since >= idle]:
            self._idle.remove(child)
            child.leave()
        oldest = min((child.idle_since for child in self._idle), default=None)
        self._sweeping = None if oldest is None else self._loop.call_later(max(0.01, oldest + idle - now), self._sweep)

    async def _all_gone(self, patience: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                for child in self._children:
                    await child.gone.wait()


def check(routes: Routes, nursery: Nursery | None) -> None:
    """Raises ConfigurationError for tasks that this system or this program cannot run in a process."""
    for route in routes.values():
        if route.isolation == "process" and nursery is None:
            raise ConfigurationError(
                f"task {route.name!r}: isolation='process' needs an app that a fresh interpreter finds: "
                f"keep it in a variable of a module or of the file that was started, e.g. app = App(…) at its top level"
            )
        if route.memory is not None and not watchable():
            raise ConfigurationError(f"task {route.name!r}: memory= needs /proc, which this system does not have")
