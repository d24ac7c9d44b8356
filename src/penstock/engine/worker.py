"""A worker: claims what its program knows, runs it, and keeps its word about it.

It lives on the loop it was started on. Several may live in one process. What it is at a moment is an `Incarnation`; a worker
that was declared dead while it lived (it was stopped too long, or cut off from its store) begins another.
"""

from __future__ import annotations

import asyncio
import os
from random import Random

from penstock.engine.beat import Vitals
from penstock.engine.duty import Duty
from penstock.engine.incarnation import Incarnation
from penstock.engine.program import Program, WorkerOptions
from penstock.engine.service import Service
from penstock.engine.ties import Ties
from penstock.errors import ConfigurationError
from penstock.model.events import WorkerStarted, WorkerStopped
from penstock.ports.signals import Signals
from penstock.ports.store import Store


class Worker:
    """The store is open, and stays open after the worker has stopped."""

    def __init__(self, store: Store, program: Program, options: WorkerOptions, signals: Signals, random: Random) -> None:
        self._store = store
        self._program = program
        self._options = options
        self._signals = signals
        self._random = random
        self._current: Incarnation | None = None
        self._renewal = _Renewal(self, Ties(signals, random, lambda: None))
        self._changing = asyncio.Lock()
        self._hurry = asyncio.Event()
        self._stopping: asyncio.Task[None] | None = None

    @property
    def incarnation(self) -> int | None:
        """None: it does not run."""
        return self._current.number if self._current else None

    async def start(self) -> None:
        """Returns when it is enrolled and claims. Raises StoreError, and ConfigurationError for a handler that could not get its `tx`.
        Again: no effect."""
        async with self._changing:
            if self._current is None:
                self._hurry.clear()
                await self._check_transactions()
                await self._begin()
                self._renewal.start()

    async def stop(self, now: bool = False) -> None:
        """Claim nothing more, let what runs end within `shutdown_timeout`, release the rest uncounted, leave the registry.

        `now`: release at once what runs, also when a stop is under way already. Returns when it has left.
        """
        if now:
            self._hurry.set()
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def abort(self) -> None:
        """End as one that was declared dead: handlers are stopped, nothing more is written, what it held is left to be rescued."""
        async with self._changing:
            await self._renewal.stop()
            current, self._current = self._current, None
            if current is not None:
                current.lose()
                await current.abort()
                self._signals.emit(WorkerStopped(current.number, current.released))

    async def run(self, stop: asyncio.Event) -> None:
        """From start to stop; the caller sets `stop`, and may call `stop(now=True)` after that."""
        await self.start()
        try:
            await stop.wait()
        finally:
            await self.stop()

    async def idle(self) -> None:
        """Returns when it holds nothing, everything is settled, and the store has nothing for it now. Delayed messages may wait."""
        current = None
        while current is not self._current:
            current = self._current
            if current is not None:
                await current.idle()

    async def renew(self) -> None:
        """Begin a new incarnation if this one was lost."""
        if self._current is not None and self._current.lost:
            await self._current.abort()
            self._signals.emit(WorkerStopped(self._current.number, self._current.released))
            await self._begin(renewed=True)

    async def _begin(self, *, renewed: bool = False) -> None:
        number = int.from_bytes(os.urandom(8), "big") >> 1  # a fence: never from a seed that a fork could share
        ties = Ties(self._signals, self._random, lambda: self._lose(number))
        duty = Duty(self._store, self._program, self._options, ties, number, renewed)
        incarnation = Incarnation(duty, Vitals(self._options.lease, self._options.stall_limit))
        await incarnation.start()
        self._current = incarnation
        self._signals.emit(WorkerStarted(number, tuple(queue for queue, _ in duty.queues)))

    async def _check_transactions(self) -> None:
        for route in self._program.routes.values():
            if route.transactional:
                try:
                    await self._store.check_transactions(blocking=route.isolation == "thread")
                except ConfigurationError as error:
                    raise ConfigurationError(f"{route.name}: {error}") from error

    def _lose(self, number: int) -> None:
        if self._current is not None and self._current.number == number:
            self._current.lose()
            self._renewal.wake()

    async def _stop(self) -> None:
        try:
            async with self._changing:
                await self._renewal.stop()
                current, self._current = self._current, None
                if current is not None:
                    await current.stop(self._options.shutdown_timeout, self._hurry)
                    self._signals.emit(WorkerStopped(current.number, current.released))
        finally:
            self._stopping = None


class _Renewal(Service):
    """A store that cannot enrol the new incarnation now is asked again."""

    def __init__(self, worker: Worker, ties: Ties) -> None:
        super().__init__("renewal", ties)
        self._worker = worker

    async def tick(self) -> float:
        await self._worker.renew()
        return 3600.0
