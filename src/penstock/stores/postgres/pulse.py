"""A thread with a loop and a connection of its own: the beats must not depend on the event loop of the app."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from penstock.errors import StoreUnavailable
from penstock.model.statement import Program
from penstock.stores.postgres.access import Access, Told

T = TypeVar("T")

_PATIENCE = 4.0
"""Seconds, with connecting: the lease is running out."""


class Pulse:
    def __init__(self, access: Access) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._connection: Any = None
        self._closed = False

    def run(self, make: Callable[[int], Program[T]], doing: str) -> T:
        """In a transaction, relaxed. Blocks the calling thread. Raises StoreError."""
        return asyncio.run_coroutine_threadsafe(self._run(make, doing), self._started()).result()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            loop, thread = self._loop, self._thread
        if loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(self._let_go(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise StoreUnavailable("beat: the store is closed")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="penstock-pulse", daemon=True)
                self._thread.start()
            return self._loop

    async def _run(self, make: Callable[[int], Program[T]], doing: str) -> T:
        """A connection that does not answer is left: the next beat goes by a new one."""
        attempt = asyncio.ensure_future(self._attempt(make, doing))
        await asyncio.wait((attempt,), timeout=_PATIENCE)
        if attempt.done():
            return attempt.result()
        if self._connection is not None:
            self._connection.terminate()
        attempt.cancel()
        await asyncio.wait((attempt,))
        raise StoreUnavailable(f"{doing}: the server did not answer within {_PATIENCE:g} s")

    async def _attempt(self, make: Callable[[int], Program[T]], doing: str) -> T:
        access = self._access
        if self._connection is None or self._connection.is_closed():
            self._connection = await access.relaxed.connect()
        connection = self._connection
        async with Told(doing, connection), access.within(connection, doing, durable=False):
            return await access.drive(connection, make(access.clock.now()))

    async def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
