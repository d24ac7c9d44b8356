"""Procrastinate: its async worker and its psycopg connector."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version

from procrastinate import App, PsycopgConnector  # pyright: ignore[reportMissingImports]

from benchmarks.peers.program import TEXT, Peer, begun_here, main

CONCURRENCY = 50
POOL = 20


class Queue(Peer):
    settings = (
        f"worker: run_worker_async(concurrency={CONCURRENCY}), PsycopgConnector with a pool of {POOL}, psycopg[binary], asyncio; "
        "producers: the same pool; durability: puts synced, a worker's commits not"
    )

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.app = App(connector=PsycopgConnector(conninfo=url, min_size=POOL, max_size=POOL))
        self.task = self.app.task(name="nothing", queue="bench")(nothing)
        self.moment = self.app.task(name="moment", queue="bench")(moment)

    def version(self) -> str:
        return version("procrastinate")

    async def make(self) -> None:
        async with self.app.open_async():
            await self.app.schema_manager.apply_schema_async()

    async def open(self) -> None:
        await self.app.open_async()

    async def put(self) -> None:
        await self.task.defer_async(data=TEXT)

    async def put_moment(self, n: int) -> None:
        await self.moment.defer_async(n=n)

    async def put_many(self, count: int) -> None:
        await self.task.batch_defer_async(*({"data": TEXT} for _ in range(count)))

    async def close(self) -> None:
        await self.app.close_async()

    async def start(self) -> Callable[[], Awaitable[None]]:
        await self.app.open_async()
        return lambda: self.app.run_worker_async(concurrency=CONCURRENCY, install_signal_handlers=False)


async def nothing(data: str) -> None: ...


async def moment(n: int) -> None:
    await begun_here(n)


if __name__ == "__main__":
    main(Queue)
