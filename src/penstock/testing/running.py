"""Putting an app on a store of its own for a test, and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from random import Random
from types import TracebackType

from penstock.app import App
from penstock.engine.program import WorkerOptions
from penstock.errors import ConfigurationError
from penstock.ports.signals import Signals
from penstock.ports.store import Durability, Store
from penstock.stores.sqlite.store import SqliteStore
from penstock.testing.clock import VirtualClock, started
from penstock.testing.inline import InlineStore
from penstock.testing.kit import Kit
from penstock.testing.process import Stage
from penstock.testing.storage import fast_folder, prepare


def run(
    app: App,
    /,
    *,
    path: str | os.PathLike[str] | None = None,
    start: datetime | None = None,
    inline: bool = False,
    concurrency: int = 1,
    seed: int = 0,
) -> Running:
    """Put an app on a fresh store for the length of a `with` or `async with` block, which gets its `Kit`.

    Its tasks, routers and transactions use that store from any module, loop and thread; its own store is not touched, and is
    used again after the block. `path`: the SQLite file to use, e.g. the test database that your own tables are in; unless given,
    an empty file in tmpfs (/dev/shm, else the folder for temporary files), removed after the block. `start`: what time it is
    (aware); unless given, now. `inline`: `enqueue` returns when the job and its follow-ups have run. `concurrency`: jobs at once;
    unless given, one after the other, so that they run in the same order each time. `seed`: of the random waits before retries.
    Entering the block makes Penstock's tables in the file, if they are not there. Raises ConfigurationError, and StoreError.

        async with testing.run(app) as kit:
            await sign_up("Sam")
            await kit.drain()
    """
    if not isinstance(app, App):
        raise ConfigurationError(f"testing.run({app!r}): pass the App itself")
    clock = started(start)
    stage = Stage(app, WorkerOptions(concurrency=concurrency, app=app.name), clock, Random(seed))
    return Running(path, Facility(stage, clock, inline))


class Facility:
    """Makes the handles of one kit: one for each loop that the app is used on, and one for each process that is simulated."""

    def __init__(self, stage: Stage, clock: VirtualClock, inline: bool) -> None:
        self.stage = stage
        self._clock = clock
        self._inline = inline
        self._handles: list[SqliteStore] = []

    def kit(self, path: str) -> Kit:
        prepare(path, self._clock)
        self._path = path
        self._kit = Kit(self.stage, self._clock, path)
        return self._kit

    async def open(self) -> Store:
        """A subscription of code that runs in production is there before the first event; so it is here."""
        store = await self.stage.app.open_store(self._make)
        await self.stage.declare(store)
        return store

    def close(self) -> None:
        for handle in self._handles:
            handle.close_now()

    def _make(self, url: str, /, *, durability: Durability, signals: Signals, limits: Mapping[str, int]) -> Store:
        """The app's settings, on the test's file and in the test's time."""
        kind = InlineStore if self._inline else SqliteStore
        self.stage.wire = wire = self.stage.new_wire()
        store = kind(self._path, signals=wire, durability=durability, limits=limits, clock=self._clock.store_clock())
        if isinstance(store, InlineStore):
            store.afterwards = self._kit._run_what_can
        self._handles.append(store)
        return store


class Running:
    """What `testing.run` returns: enter it with `with` or `async with`."""

    def __init__(self, path: str | os.PathLike[str] | None, facility: Facility) -> None:
        self._path = path
        self._facility = facility

    def __enter__(self) -> Kit:
        facility = self._facility
        with ExitStack() as stack:
            path = stack.enter_context(fast_folder()) / "test.db" if self._path is None else Path(self._path)
            kit = facility.kit(os.path.realpath(path))
            stack.callback(facility.close)
            stack.callback(facility.stage.link.divert(facility.open))
            stack.callback(facility.stage.end)
            self._stack = stack.pop_all()
        return kit

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()
        if kind is None and (left := self._facility.stage.faults.left()):
            raise AssertionError(f"crash_at({', '.join(map(repr, left))}): no worker came there, so nothing crashed")

    async def __aenter__(self) -> Kit:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)
