"""Savepoints of one transaction take turns: SQLite's form a stack, so two that are open side by side would undo each other.

Whoever wants one while another of the same transaction is open waits until that has ended, in the order of asking. Savepoints
inside the open one are its own children, and have turns of their own. Two waits would not end:

- The task that has the open one asks for a second beside it: refused at once.
- The task that has the open one waits for one that asks for a second beside it: nobody can see that. The transaction's time
  limit ends it, and whoever waits for its turn is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from penstock.errors import ConfigurationError


class Turns:
    """Of the savepoints that begin directly in one transaction or savepoint. Used on one loop."""

    def __init__(self, check: Callable[[], None], look: float | None) -> None:
        """`check` raises once the transaction is over; who waits calls it when its turn comes, and every `look` seconds."""
        self._check = check
        self._look = look
        self._free = asyncio.Lock()
        self._holder: asyncio.Task[object] | None = None

    async def take(self) -> None:
        """Raises ConfigurationError for the task whose own savepoint is open, TransactionClosed when there are no more turns."""
        task = asyncio.current_task()
        if self._free.locked() and self._holder is task:
            raise ConfigurationError(
                "a savepoint of this transaction is open in this very task: open the second one inside the first, or end that before"
            )
        await self._acquire()
        self._holder = task

    def leave(self) -> None:
        self._holder = None
        self._free.release()

    async def _acquire(self) -> None:
        while not await self._acquired():
            self._check()
        try:
            self._check()
        except BaseException:
            self._free.release()
            raise

    async def _acquired(self) -> bool:
        try:
            async with asyncio.timeout(self._look):
                return await self._free.acquire()
        except TimeoutError:
            return False
