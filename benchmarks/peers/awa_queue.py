"""Awa: its Python async worker on queue storage, which a fresh database has as soon as a first worker has run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version

from awa import AsyncClient, Job  # pyright: ignore[reportMissingImports]

from benchmarks.peers.program import TEXT, Peer, begun_here, main

QUEUE = "bench"
WORKERS, CLAIMERS, SIZE = 512, 2, 512
"""About twice as fast as its defaults, 50 workers and one claimer."""
POOL = 24
"""Four for each queue and twenty, as its notes on benchmarks have it."""


@dataclass
class Nothing:
    data: str


@dataclass
class Moment:
    n: int


class Queue(Peer):
    settings = (
        f"worker: max_workers={WORKERS}, claimers={CLAIMERS}, claim_batch_size={SIZE}, max_connections={POOL}; "
        f"producers: insert, and enqueue_many_copy for many, max_connections={POOL}; durability: puts synced, a worker's commits not"
    )

    def version(self) -> str:
        return version("awa-pg")

    async def make(self) -> None:
        """Its first worker makes the queue storage, which it has for a fresh database."""
        client = AsyncClient(self.url)
        await client.migrate()
        client.task(Nothing, queue=QUEUE)(nothing)
        await client.start([(QUEUE, 1)])
        await client.shutdown()
        await client.close()

    async def open(self) -> None:
        self.client = AsyncClient(self.url, max_connections=POOL)

    async def put(self) -> None:
        await self.client.insert(Nothing(TEXT), queue=QUEUE)

    async def put_moment(self, n: int) -> None:
        await self.client.insert(Moment(n), queue=QUEUE)

    async def put_many(self, count: int) -> None:
        await self.client.enqueue_many_copy([Nothing(TEXT)] * count, queue=QUEUE)

    async def close(self) -> None:
        await self.client.close()

    async def start(self) -> Callable[[], Awaitable[None]]:
        await self.open()
        self.client.task(Nothing, queue=QUEUE)(nothing)
        self.client.task(Moment, queue=QUEUE)(moment)
        return self._begin

    async def _begin(self) -> None:
        await self.client.start([{"name": QUEUE, "max_workers": WORKERS, "claimers": CLAIMERS, "claim_batch_size": SIZE}])
        await asyncio.Event().wait()


async def nothing(job: object) -> None: ...


async def moment(job: Job) -> None:
    await begun_here(job.args.n)


if __name__ == "__main__":
    main(Queue)
