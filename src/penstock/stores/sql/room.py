"""Back-pressure: a put waits while its queue is full, or while this process has too much to write.

`max_waiting` comes from the code, or from an operator, who wins; what operators set is looked up once a second. The limit is
soft: producers that look at the same moment may all find room.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from penstock.errors import QueueFull
from penstock.model.message import Message
from penstock.stores.sql.roads import Reading, Writing

PATIENCE = 5.0
"""Seconds that a put waits for room."""
_BUFFER = 10_000
"""Messages that may wait to be written."""
_GLANCE = 0.02
_FRESH = 1.0


class Room:
    def __init__(self, writer: Writing, reader: Reading, limits: Mapping[str, int], patience: float) -> None:
        self._writer = writer
        self._reader = reader
        self._code = limits
        self._patience = patience
        self._operators: dict[str, int] = {}
        self._stale_at = 0.0

    @property
    def uncertain(self) -> bool:
        """Something may be full: it takes a look to know."""
        full = self._writer.waiting >= _BUFFER
        return full or bool(self._code or self._operators) or time.monotonic() >= self._stale_at

    async def wait(self, messages: Sequence[Message]) -> None:
        deadline = time.monotonic() + self._patience
        while (full := await self._full(messages)) is not None:
            if time.monotonic() >= deadline:
                raise QueueFull(f"{full}; waited {self._patience:g} s for room, nothing of this call was stored")
            await asyncio.sleep(_GLANCE)

    async def _full(self, messages: Sequence[Message]) -> str | None:
        """What is full, if anything is."""
        await self._refresh()
        if self._writer.waiting >= _BUFFER:
            return f"{self._writer.waiting} messages of this process wait to be written"
        for queue, coming in Counter(message.queue for message in messages).items():
            limit = self._operators.get(queue, self._code.get(queue))
            if limit is not None:
                rows = await self._reader.rows("depth", {"queue": queue})
                depth = rows[0][0] if rows else 0
                if depth + coming > limit and depth > 0:
                    return f"queue {queue} holds {depth} messages, its max_waiting is {limit}"
        return None

    async def _refresh(self) -> None:
        now = time.monotonic()
        if now >= self._stale_at:
            self._stale_at = now + _FRESH
            rows = await self._reader.rows("max_waiting", {})
            self._operators = {queue: msgspec.json.decode(value, type=int) for queue, value in rows}
