"""`ports.queue.Queue` on the writer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.errors import QueueFull
from penstock.model.delivery import Settlement
from penstock.model.job import Cancelled
from penstock.model.message import Message, Placed
from penstock.model.statement import Program, Statement
from penstock.ports.queue import Claim, Claimed
from penstock.stores.sqlite import ends
from penstock.stores.sqlite.claim import claim
from penstock.stores.sqlite.operations import Put, Run, Settle
from penstock.stores.sqlite.reader import Reader
from penstock.stores.sqlite.writer import Writer

_BUFFER = 10_000
"""Messages that may wait to be written."""
PATIENCE = 5.0
"""Seconds that a put waits for room."""
_GLANCE = 0.02


class SqliteQueue:
    def __init__(self, writer: Writer, reader: Reader, limits: Mapping[str, int], patience: float = PATIENCE) -> None:
        self._writer = writer
        self._reader = reader
        self._limits = limits
        self._patience = patience
        self._pruning = ends.Pruning()

    async def put(self, messages: Sequence[Message]) -> list[Placed]:
        if self._writer.waiting >= _BUFFER or self._limits:
            await self._wait_for_room(messages)
        return await self._writer.submit(Put(messages))  # type: ignore[no-any-return]

    async def claim(self, claim_: Claim) -> Claimed:
        work = Run(lambda now: claim(claim_, now), "claim", durable=False)
        return await self._writer.submit(work)  # type: ignore[no-any-return]

    async def settle(self, owner: int, settlements: Sequence[Settlement]) -> list[int]:
        return await self._writer.submit(Settle(owner, settlements))  # type: ignore[no-any-return]

    async def cancel(self, job_id: str) -> Cancelled:
        work = Run(lambda now: ends.cancel(job_id, now), f"cancel {job_id}", rings=True)
        return await self._writer.submit(work)  # type: ignore[no-any-return]

    async def cancellations(self, owner: int) -> list[int]:
        return [row[0] for row in await self._reader.rows("cancel_requests", {"owner": owner})]

    async def replay(self, ids: Sequence[str]) -> list[str]:
        work = Run(lambda now: ends.replay(ids, now), "replay dead letters", rings=True)
        return await self._writer.submit(work)  # type: ignore[no-any-return]

    async def discard(self, ids: Sequence[str]) -> list[str]:
        work = Run(lambda now: ends.discard(ids, now), "discard dead letters")
        return await self._writer.submit(work)  # type: ignore[no-any-return]

    async def expire(self, limit: int) -> int:
        work = Run(lambda now: ends.expire(limit, now), "expire messages", durable=False)
        return await self._writer.submit(work)  # type: ignore[no-any-return]

    async def prune(self, limit: int, *, age: int, keep: int) -> int:
        work = Run(lambda now: self._pruning.prune(limit, age, keep, now), "prune the history", durable=False)
        return await self._writer.submit(work)  # type: ignore[no-any-return]

    async def _wait_for_room(self, messages: Sequence[Message]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while (full := await self._full(messages)) is not None:
            if loop.time() >= deadline:
                raise QueueFull(f"{full}; waited {self._patience:g} s for room, nothing of this call was stored")
            await asyncio.sleep(_GLANCE)

    async def _full(self, messages: Sequence[Message]) -> str | None:
        """What is full, if anything is."""
        if self._writer.waiting >= _BUFFER:
            return f"{self._writer.waiting} messages of this process wait to be written"
        for queue in {message.queue for message in messages}:
            if (limit := self._limits.get(queue)) is not None:
                rows = await self._reader.rows("depth", {"queue": queue})
                depth = rows[0][0] if rows else 0
                coming = sum(message.queue == queue for message in messages)
                if depth + coming > limit and depth > 0:
                    return f"queue {queue} holds {depth} messages, its max_waiting is {limit}"
        return None


def settings_write(scope: str, name: str, value: str | None, by: str, now: int) -> Program[Any]:
    if value is None:
        yield Statement("drop_setting", {"scope": scope, "name": name})
    else:
        yield Statement("set_setting", {"scope": scope, "name": name, "value": value, "by": by, "at": now})
