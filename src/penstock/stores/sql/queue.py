"""`ports.queue.Queue` on the writer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from penstock.errors import StoreUnavailable
from penstock.model.delivery import Settlement
from penstock.model.job import Cancelled
from penstock.model.message import Message, Placed
from penstock.ports.queue import Claim, Claimed
from penstock.stores.sql import ends
from penstock.stores.sql.dialect import Dialect
from penstock.stores.sql.operations import CLAIMS, Put, Run, Settle
from penstock.stores.sql.roads import Reading, Writing
from penstock.stores.sql.room import PATIENCE, Room

_PAUSES = tuple(0.002 * 2**n for n in range(9))
"""Seconds between two looks for a message that moves: a claim or a settle holds it for some ms."""


class SqlQueue:
    def __init__(self, writer: Writing, reader: Reading, dialect: Dialect, limits: Mapping[str, int], patience: float = PATIENCE) -> None:
        self._writer = writer
        self._reader = reader
        self._dialect = dialect
        self._room = Room(writer, reader, limits, patience)
        self._pruning = ends.Pruning()

    async def put(self, messages: Sequence[Message]) -> list[Placed]:
        if self._room.uncertain:
            await self._room.wait(messages)
        return await self._writer.submit(Put(messages))  # type: ignore[no-any-return]

    async def claim(self, ask: Claim) -> Claimed:
        work = Run(lambda now: self._dialect.claim(ask, now), CLAIMS, durable=False, rehearses=True)
        return await self._writer.submit(work)  # type: ignore[no-any-return]

    async def settle(self, owner: int, settlements: Sequence[Settlement]) -> list[int]:
        return await self._writer.submit(Settle(owner, settlements))  # type: ignore[no-any-return]

    async def cancel(self, job_id: str) -> Cancelled:
        """Each look is a transaction of its own: a claim that has locked the message may wait for the key that the look has."""
        work = Run(lambda now: ends.cancel(job_id, now), f"cancel {job_id}", rings=True)
        for pause in _PAUSES:
            done: Cancelled | None = await self._writer.submit(work)
            if done is not None:
                return done
            await asyncio.sleep(pause)
        raise StoreUnavailable(f"cancel {job_id}: it moved each time it was looked for; try again")

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
