"""An app's tie to its store: one process, one event loop, one set of handles.

- Nothing opens before the first use. The first use opens the store on the running loop (`.sync`: on a thread with a loop of its
  own), and there it stays: uses from other loops and threads are sent to it.
- A loop that is closed, or that nobody runs any more, is left: the next use closes the old handles and opens anew where it is.
- After a fork the child forgets what it inherited, without closing it, and opens its own. On the fast path nothing asks for
  the pid: the inherited loop never runs in the child.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from penstock.api.background import Background
from penstock.errors import ConfigurationError, PublishUnknown
from penstock.model.clock import WallClock
from penstock.model.ids import IdSource
from penstock.ports.store import Store

T = TypeVar("T")

_LOOK = 1.0
"""Seconds between two looks whether the loop that should answer is still there."""


class Opener(Protocol):
    """Makes the store, and opens it on the running loop."""

    async def __call__(self) -> Store: ...


class Home:
    """Where the store is open, or being opened: a loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, opener: Opener, left: Home | None) -> None:
        self.loop = loop
        self.store: Store | None = None
        self._opener = opener
        self._left = left
        self._opening = asyncio.Lock()

    async def opened(self) -> Store:
        """Runs on this home's loop. A failed opening is tried anew by the next use."""
        async with self._opening:
            if self.store is None:
                await self._leave()
                self.store = await self._opener()
            return self.store

    async def _leave(self) -> None:
        left, self._left = self._left, None
        if left is not None:
            await left._leave()
            if left.store is not None:
                await left.store.close()

    async def close(self) -> None:
        async with self._opening:
            store, self.store = self.store, None
            if store is not None:
                await store.close()


class Diversion:
    """A stay of a link at another store."""

    def __init__(self, link: Link, refusal: Callable[[], Exception]) -> None:
        """`refusal` of what it has left behind."""
        self.link = link
        self.over = False
        self.refusal = refusal


inside: ContextVar[Diversion | None] = ContextVar("penstock_inside", default=None)
"""The diversion that runs the caller: its handlers, and what they start."""


class Link:
    """Finds the store from any thread, loop and process."""

    def __init__(self, opener: Opener, foreign: Callable[[object], object]) -> None:
        """`foreign` wraps a user's connection for `Store.join`, where an integration knows it."""
        self.foreign = foreign
        self._opener = opener
        self._home: Home | None = None
        self._background: Background | None = None
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._foreign = _new_ids()
        self._own = _new_ids()
        self.own_id = self._own.next
        """Ids for callers on the home loop: one thread, so no lock."""

    def _renew_ids(self) -> None:
        """For a new home: on the loop that was left somebody may be drawing one."""
        self._own = _new_ids()
        self.own_id = self._own.next

    def foreign_id(self) -> str:
        """Ids for everybody else."""
        with self._guard():
            return self._foreign.next()

    def own_ids(self, count: int) -> Callable[[], str]:
        """`own_id` for a caller who needs at least so many: they are made together."""
        return itertools.chain(self._own.several(count), iter(self.own_id, "")).__next__

    def foreign_ids(self, count: int) -> Callable[[], str]:
        """`foreign_id`, likewise."""
        with self._guard():
            several = self._foreign.several(count)
        return itertools.chain(several, iter(self.foreign_id, "")).__next__

    def store_here(self) -> Store | None:
        """The store, if it is open on the running loop. Every enqueue and publish comes by."""
        if (around := inside.get()) is not None:
            self._refuse_left_behind(around)
        home = self._home
        return home.store if home is not None and home.loop is asyncio.get_running_loop() else None

    # -- async

    async def opened(self) -> Store:
        """The store, opened if need be. Its verbs run on the home loop: use `run`."""
        store = self.store_here()
        return await self.run(_itself) if store is None else store

    async def run(self, verb: Callable[[Store], Awaitable[T]]) -> T:
        """Run `verb` on the home loop, from any loop."""
        loop = asyncio.get_running_loop()
        home = self._home_for(loop)
        if home.loop is loop:
            return await verb(await home.opened())
        return await _hop(_on(home, verb), home.loop)

    async def settle_here(self) -> Store:
        """Open on the running loop and nowhere else: a worker lives with its store."""
        loop = asyncio.get_running_loop()
        home = self._home_for(loop)
        if home.loop is not loop:
            if self._background is None or home.loop is not self._background.loop:
                raise ConfigurationError("this app already runs on another event loop of this process; a worker needs its own")
            await self.close()
            home = self._home_for(loop)
        return await home.opened()

    async def close(self) -> None:
        """Let go of the store. The next use opens it again."""
        with self._guard():
            home, self._home = self._home, None
            background, self._background = self._background, None
        if home is not None and home.loop is asyncio.get_running_loop():
            await home.close()
        elif home is not None and home.loop.is_running():
            await _hop(home.close(), home.loop)
        if background is not None:
            background.stop()

    async def leave(self) -> None:
        """Let go of the store, and stay on this loop: the next use opens it again here."""
        home = self._home
        if home is not None:
            await home.close()

    def divert(self, opener: Opener) -> Callable[[], None]:
        """Use another store until the function that is returned is called. What is open stays so, aside, and is then used again.

        What `opener` opens is its own to close.
        """
        with self._guard():
            aside = self._opener, self._home, self._background
            self._opener, self._home, self._background = opener, None, None
        return lambda: self._come_back(aside)

    def _come_back(self, aside: tuple[Opener, Home | None, Background | None]) -> None:
        with self._guard():
            background = self._background
            self._opener, self._home, self._background = aside
            self._renew_ids()
        if background is not None:
            background.stop()

    # -- sync

    def call(self, verb: Callable[[Store], Awaitable[T]], instead: str) -> T:
        """Run `verb` on the home loop and block for it. `instead`: the async verb, for whoever is on that loop."""
        home = self._home_to_block_on(instead)
        return _block(_on(home, verb), home.loop)

    def opened_now(self, instead: str) -> Store:
        return self.call(_itself, instead)

    def close_now(self) -> None:
        """As `close`, from a thread without a running loop."""
        with self._guard():
            home, self._home = self._home, None
            background, self._background = self._background, None
        if home is not None and home.loop.is_running():
            _block(home.close(), home.loop)
        if background is not None:
            background.stop()

    # -- homes

    def _home_for(self, loop: asyncio.AbstractEventLoop) -> Home:
        self._refuse_left_behind(inside.get())
        with self._guard():
            if self._home is None or not (self._home.loop is loop or self._home.loop.is_running()):
                self._home = Home(loop, self._opener, self._home)
                self._renew_ids()
            return self._home

    def _home_to_block_on(self, instead: str) -> Home:
        self._refuse_left_behind(inside.get())
        running = _running_loop()
        with self._guard():
            home = self._home if self._home is not None and self._home.loop.is_running() else None
            if running is not None and (home is None or home.loop is running):
                raise ConfigurationError(f".sync would block the event loop that this app runs on: {instead}")
            return home or self._home_for(self._background_loop())

    def _refuse_left_behind(self, around: Diversion | None) -> None:
        """By a diversion that is over: it was never meant to reach the store that is used now."""
        if around is not None and around.over and around.link is self:
            raise around.refusal()

    def _background_loop(self) -> asyncio.AbstractEventLoop:
        if self._background is None:
            self._background = Background(self.close_now)
        return self._background.loop

    def _guard(self) -> threading.RLock:
        """The lock; in a forked child a new one (the parent may have held it), with nothing open."""
        if self._pid != os.getpid():
            self._lock = threading.RLock()
            self._home = None
            self._background = None
            self._pid = os.getpid()
        return self._lock


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _itself(store: Store) -> Store:
    return store


async def _on(home: Home, verb: Callable[[Store], Awaitable[T]]) -> T:
    return await verb(await home.opened())


async def _hop(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    answer = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))
    while not answer.done():
        await asyncio.wait((answer,), timeout=_LOOK)
        if loop.is_closed() and not answer.done():
            answer.cancel()
            raise PublishUnknown(_LOST)
    return answer.result()


def _block(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    answer = asyncio.run_coroutine_threadsafe(work, loop)
    while not answer.done():
        concurrent.futures.wait((answer,), timeout=_LOOK)
        if loop.is_closed() and not answer.done():
            raise PublishUnknown(_LOST)
    try:
        return answer.result()
    except concurrent.futures.CancelledError as error:
        raise PublishUnknown(_LOST) from error


_LOST = "the event loop that this app runs on ended before it answered; retry with the same id"


def _new_ids() -> IdSource:
    clock = WallClock()
    return IdSource(lambda: clock.now() // 1000)
