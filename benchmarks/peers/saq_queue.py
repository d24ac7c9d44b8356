"""SAQ on Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version

from saq import Queue as Jobs  # pyright: ignore[reportMissingImports]
from saq import Worker  # pyright: ignore[reportMissingImports]

from benchmarks.peers.program import TEXT, Peer, begun_here, main

CONCURRENCY = 10


class Queue(Peer):
    settings = (
        f"worker: concurrency={CONCURRENCY}, its default, asyncio, redis[hiredis]; producers: enqueue(ttl=-1), its 20 operations at once; "
        "durability: Redis with appendfsync always, each command synced, claims and settles too"
    )

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.queue = Jobs.from_url(url or "redis://", name="bench")

    def version(self) -> str:
        return version("saq")

    async def make(self) -> None: ...

    async def open(self) -> None:
        await self.queue.connect()

    async def put(self) -> None:
        await self.queue.enqueue("nothing", data=TEXT, ttl=-1)

    async def put_moment(self, n: int) -> None:
        await self.queue.enqueue("moment", n=n, ttl=-1)

    async def left(self) -> int:
        return await self.queue.count("incomplete")

    async def close(self) -> None:
        await self.queue.disconnect()

    async def start(self) -> Callable[[], Awaitable[None]]:
        await self.queue.connect()
        worker = Worker(self.queue, functions=[nothing, moment], concurrency=CONCURRENCY)
        return worker.start


async def nothing(context: object, *, data: str) -> None: ...


async def moment(context: object, *, n: int) -> None:
    await begun_here(n)


if __name__ == "__main__":
    main(Queue)
