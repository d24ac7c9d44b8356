"""PgQueuer as its own benchmark (tools/benchmark.py) and its page on performance have it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from importlib.metadata import version
from typing import Any

import asyncpg
import uvloop  # pyright: ignore[reportMissingImports]
from pgqueuer import PgQueuer  # pyright: ignore[reportMissingImports]
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver  # pyright: ignore[reportMissingImports]
from pgqueuer.models import Job  # pyright: ignore[reportMissingImports]
from pgqueuer.queries import Queries  # pyright: ignore[reportMissingImports]

from benchmarks.peers.program import TEXT, Peer, begun_here, main

MANAGERS = 2
SIZE = 200
"""Its benchmark has 5 managers and batches of 10. Its guide says to take more at a time when jobs are short, and that is much faster."""
POOL = 20
PAYLOAD = f'{{"data":"{TEXT}"}}'.encode()


class Queue(Peer):
    settings = (
        f"worker: {MANAGERS} managers in a process, a connection each, batch_size={SIZE}, uvloop, asyncpg; "
        f"producers: a pool of {POOL}; `pgq autovac` applied; durability: all tables logged; puts synced, a worker's commits not"
    )

    def version(self) -> str:
        return version("pgqueuer")

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        uvloop.run(work)

    async def make(self) -> None:
        connection = await asyncpg.connect(self.url)
        queries = Queries(AsyncpgDriver(connection))
        await queries.install()
        await queries.optimize_autovacuum()
        await connection.close()

    async def open(self) -> None:
        self.pool = await asyncpg.create_pool(self.url, min_size=POOL, max_size=POOL)
        self.queries = Queries(AsyncpgPoolDriver(self.pool))

    async def put(self) -> None:
        await self.queries.enqueue("nothing", PAYLOAD)

    async def put_moment(self, n: int) -> None:
        await self.queries.enqueue("moment", str(n).encode())

    async def put_many(self, count: int) -> None:
        await self.queries.enqueue(["nothing"] * count, [PAYLOAD] * count, [0] * count)

    async def close(self) -> None:
        await self.pool.close()

    async def start(self) -> Callable[[], Awaitable[None]]:
        managers = [await self._manager() for _ in range(MANAGERS)]

        async def begin() -> None:
            await asyncio.gather(*(each.run(batch_size=SIZE) for each in managers))

        return begin

    async def _manager(self) -> PgQueuer:
        manager = PgQueuer(AsyncpgDriver(await asyncpg.connect(self.url)))

        @manager.entrypoint("nothing")
        async def nothing(job: Job) -> None: ...

        @manager.entrypoint("moment")
        async def moment(job: Job) -> None:
            await begun_here(int(job.payload or b""))

        return manager


if __name__ == "__main__":
    main(Queue)
