"""Ending a transaction of psycopg's while a statement may run there, on another thread: a rollback waits for it, so it is cancelled.

asyncpg needs no such thing: there a statement is cancelled with the task that awaits it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_ACTIVE = 1
"""psycopg's `TransactionStatus.ACTIVE`."""
_AGAIN, _PATIENCE = 0.1, 5.0
"""Seconds until what still runs is cancelled again, and for the server to take one cancellation."""

log = logging.getLogger("penstock.store")


class Canceller:
    """Of one process. On a thread of its own: all others may be waiting for statements."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="penstock-cancel")

    async def around(self, wire: Any, undo: Awaitable[None]) -> bool:
        """Await `undo`, and cancel what it waits for. True: something was cancelled. That may arrive late, so nothing else must be run
        on this connection. Raises what `undo` raises."""
        undoing, cancelled = asyncio.ensure_future(undo), False
        while not undoing.done():
            if wire.info.transaction_status == _ACTIVE:
                cancelled = True
                await asyncio.get_running_loop().run_in_executor(self._thread, _cancel, wire)
            await asyncio.wait([undoing], timeout=_AGAIN)
        await undoing
        return cancelled

    def close(self) -> None:
        self._thread.shutdown(wait=False)


def _cancel(wire: Any) -> None:
    try:
        wire.cancel_safe(timeout=_PATIENCE)
    except Exception as error:  # of the server, or of the way to it: it is asked again
        log.warning("a statement could not be cancelled: %s", error)
