"""Where the statements of a borrowed connection run, and `def` handlers with them.

A connection is used by one thread and for one thing at a time. Each program runs in a savepoint, so it is done or not done at all.

- `LoopDesk`, for async tests: on the loop that awaits the drain. `def` handlers run on threads, as in a worker, and what they
  ask of the connection is sent to that loop; what coroutines ask by `tx.sync` is done at once, if the connection does not await.
- `ThreadDesk`, for sync tests: on the thread that called the drain, which serves this desk until the drain has ended; so a `def`
  handler finds there what frameworks keep by thread (Django's connection). Coroutines run on the app's loop, on another thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from penstock.engine.executors.thread import Threads, presentable
from penstock.errors import ConfigurationError, TransactionClosed
from penstock.model.statement import Program, Rows
from penstock.ports.transaction import Answer
from penstock.testing.borrowed.connection import Borrowed

T = TypeVar("T")

_OVER = "the drain has ended, and the connection is the test's own again; nothing more can join it"


def over() -> TransactionClosed:
    """For what handlers left behind."""
    return TransactionClosed(_OVER)


class Desk(Protocol):
    async def drive(self, program: Program[T]) -> T:
        """Run a program in a savepoint of its own, or nothing of it."""
        ...

    def drive_now(self, program: Program[T]) -> T:
        """The same, blocking the calling thread."""
        ...

    async def bare(self, name: str) -> Rows:
        """One statement of the store's, outside of any savepoint of the desk's."""
        ...

    def bare_now(self, name: str) -> Rows: ...

    async def named(self, sql: str, params: Mapping[str, object]) -> Answer:
        """One statement of the user's."""
        ...

    def named_now(self, sql: str, params: Mapping[str, object]) -> Answer: ...

    def threads(self, size: int) -> Threads:
        """For `def` handlers; made on the loop."""
        ...

    async def free(self) -> None:
        """Returns when no `def` handler has the thread that the connection belongs to."""
        ...


class LoopDesk:
    """Implements `Desk`. Made on the loop."""

    def __init__(self, borrowed: Borrowed) -> None:
        self._borrowed = borrowed
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._free = asyncio.Lock()
        self._closed = False

    async def close(self) -> None:
        """What is at the connection ends; nothing comes to it any more."""
        self._closed = True
        async with self._free:
            pass

    def _refuse_late_ones(self) -> None:
        """What a handler left behind: in a connection without a transaction a savepoint of its own would commit."""
        if self._closed:
            raise over()

    async def drive(self, program: Program[T]) -> T:
        async with self._free:
            self._refuse_late_ones()
            if self._borrowed.foreign.awaits:
                return await self._borrowed.drive_async(program)
            return self._borrowed.drive(program)

    def drive_now(self, program: Program[T]) -> T:
        return self._now(lambda: self._borrowed.drive(program), lambda: self.drive(program))

    async def bare(self, name: str) -> Rows:
        async with self._free:
            self._refuse_late_ones()
            return await self._borrowed.bare_async(name) if self._borrowed.foreign.awaits else self._borrowed.bare(name)

    def bare_now(self, name: str) -> Rows:
        return self._now(lambda: self._borrowed.bare(name), lambda: self.bare(name))

    async def named(self, sql: str, params: Mapping[str, object]) -> Answer:
        async with self._free:
            self._refuse_late_ones()
            if self._borrowed.foreign.awaits:
                return await self._borrowed.foreign.named_async(sql, params)
            return self._borrowed.foreign.named(sql, params)

    def named_now(self, sql: str, params: Mapping[str, object]) -> Answer:
        return self._now(lambda: self._borrowed.foreign.named(sql, params), lambda: self.named(sql, params))

    def _now(self, here: Callable[[], T], there: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Who is on the loop cannot wait for it. Nobody else is at the connection then: what does not await, ends in one step."""
        self._refuse_late_ones()
        if threading.get_ident() != self._thread:
            return asyncio.run_coroutine_threadsafe(there(), self._loop).result()
        if self._borrowed.foreign.awaits:
            raise ConfigurationError("drain(tx=…): this connection is async, and tx.sync would block its event loop: await tx.execute(…)")
        return here()

    def threads(self, size: int) -> Threads:
        return Threads(size, self._loop)

    async def free(self) -> None:
        """None ever has it."""


class ThreadDesk:
    """Implements `Desk`. Made on the thread that serves it."""

    def __init__(self, borrowed: Borrowed) -> None:
        if borrowed.foreign.awaits:
            raise ConfigurationError("kit.sync.drain(tx=…): this connection is async: await kit.drain(tx=…)")
        self._borrowed = borrowed
        self._thread = threading.get_ident()
        self._errands: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._handling = False
        self._closed = False

    def serve(self) -> None:
        """Until `close`. The thread is blocked in here."""
        try:
            while (errand := self._errands.get()) is not None:
                _serve(*errand)
        finally:
            self._closed = True
            self._refuse_late_ones()

    def close(self) -> None:
        self._errands.put(None)

    def _refuse_late_ones(self) -> None:
        """Of threads and tasks that a handler left behind."""
        while not self._errands.empty():
            if (errand := self._errands.get()) is not None:
                _serve(errand[0], _refuse)

    async def drive(self, program: Program[T]) -> T:
        return await asyncio.wrap_future(self._ask(lambda: self._borrowed.drive(program)))

    def drive_now(self, program: Program[T]) -> T:
        return self._now(lambda: self._borrowed.drive(program))

    async def bare(self, name: str) -> Rows:
        return await asyncio.wrap_future(self._ask(lambda: self._borrowed.bare(name)))

    def bare_now(self, name: str) -> Rows:
        return self._now(lambda: self._borrowed.bare(name))

    async def named(self, sql: str, params: Mapping[str, object]) -> Answer:
        return await asyncio.wrap_future(self._ask(lambda: self._borrowed.foreign.named(sql, params)))

    def named_now(self, sql: str, params: Mapping[str, object]) -> Answer:
        return self._now(lambda: self._borrowed.foreign.named(sql, params))

    def threads(self, size: int) -> Threads:
        return HereThreads(self, size, asyncio.get_running_loop())

    async def free(self) -> None:
        await asyncio.wrap_future(self._put(lambda: None))

    def handle(self, run: Callable[[], T]) -> Future[T]:
        """A `def` handler: here."""
        return self._put(lambda: self._handle(run))

    def _handle(self, run: Callable[[], T]) -> T:
        self._handling = True
        try:
            return run()
        finally:
            self._handling = False

    def _now(self, work: Callable[[], T]) -> T:
        return work() if threading.get_ident() == self._thread else self._ask(work).result()

    def _ask(self, work: Callable[[], T]) -> Future[T]:
        """Whoever waits for an answer while a `def` handler has this thread may be that very handler."""
        if self._handling:
            raise ConfigurationError(
                "drain(tx=…): a def handler runs on the test's own thread, which the transaction belongs to: there it can enqueue and use "
                "its tx, but not wait for the app (job.sync.…, app.sync.transaction())"
            )
        return self._put(work)

    def _put(self, work: Callable[[], T]) -> Future[T]:
        if self._closed:
            raise over()
        future: Future[T] = Future()
        self._errands.put((future, work))
        return future


def _serve(future: Future[T], work: Callable[[], T]) -> None:
    """What it raises is told to whoever asked, unless they wait no more; a Ctrl-C is the test's own."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        future.set_exception(presentable(error))


def _refuse() -> None:
    raise over()


class HereThreads(Threads):
    """No threads: `def` handlers run on the one that serves the desk."""

    def __init__(self, desk: ThreadDesk, size: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(size, loop)
        self._desk = desk

    def submit(self, run: Callable[[], Any]) -> asyncio.Future[Any]:
        context = copy_context()
        return asyncio.wrap_future(self._desk.handle(lambda: context.run(run)))
