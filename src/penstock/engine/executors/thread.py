"""`def` handlers: on a pool of threads of the worker's own.

The threads are daemons: a handler that does not end keeps neither the loop nor the process. A thread cannot be stopped; its
`Cancellation` is set, and its delivery is released when the worker gives up waiting. Results come back to the loop in batches,
one wake-up for all that ended meanwhile.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any

from msgspec import Struct

from penstock.engine.stacks import of_thread
from penstock.engine.stages.invoke import Call
from penstock.ports.handler import Route, Scope


class _Errand(Struct, eq=False):
    run: Callable[[], Any]
    context: Context
    future: asyncio.Future[Any]


class Threads:
    """Starts a thread only when none is free."""

    def __init__(self, size: int, loop: asyncio.AbstractEventLoop) -> None:
        self._size = size
        self._loop = loop
        self._errands: SimpleQueue[_Errand | None] = SimpleQueue()
        self._ended: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._lock = threading.Lock()
        self._telling = False
        self._threads = 0
        self._busy = 0
        self._closed = False
        self._at: dict[int, _Errand] = {}
        """What each thread is at, or was at last."""

    def on_thread(self, route: Route) -> Call:
        function = route.call

        def call(arguments: Any, scope: Scope | None, injected: Mapping[str, object]) -> asyncio.Future[Any]:
            return self.submit(lambda: function(arguments, scope, injected))

        return call

    def submit(self, run: Callable[[], Any]) -> asyncio.Future[Any]:
        """On the loop only. The function runs in a copy of the caller's context: `ambient` is there."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._busy += 1
        if self._busy > self._threads < self._size:
            self._threads += 1
            threading.Thread(target=self._work, name=f"penstock-{self._threads}", daemon=True).start()
        self._errands.put(_Errand(run, copy_context(), future))
        return future

    def stack_of(self, future: object) -> str:
        """Where the thread stands that works for one of `submit`'s; empty if none does."""
        return "".join(of_thread(ident) for ident, errand in list(self._at.items()) if errand.future is future)

    def close(self) -> None:
        """Threads end when they are free; this does not wait for them. What has no thread yet never runs."""
        self._closed = True
        for _ in range(self._threads):
            self._errands.put(None)

    def _work(self) -> None:
        here = threading.get_ident()
        while (errand := self._errands.get()) is not None and not self._closed:
            self._at[here] = errand
            try:
                self._bring((errand.future, errand.context.run(errand.run), None))
            except BaseException as error:  # a thread has nobody above it to tell
                self._bring((errand.future, None, error))

    def _bring(self, end: tuple[asyncio.Future[Any], Any, BaseException | None]) -> None:
        with self._lock:
            self._ended.append(end)
            told, self._telling = self._telling, True
        if not told:
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop is closed: nobody waits any more
                self._ended.clear()

    def _deliver(self) -> None:
        with self._lock:
            self._telling = False
            ended, self._ended = self._ended, deque()
        for future, value, error in ended:
            self._busy -= 1
            if future.done():
                continue
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(presentable(error))


def presentable(error: BaseException) -> BaseException:
    """A future cannot carry every exception: StopIteration would end its coroutine, SystemExit would end the loop."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    stand_in = RuntimeError(f"the handler raised {type(error).__name__}: {error}")
    stand_in.__cause__ = error
    return stand_in
