"""Taskiq on a stream of Redis, whose messages are acknowledged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version

from redis.asyncio import Redis  # pyright: ignore[reportMissingImports]
from taskiq.api import run_receiver_task  # pyright: ignore[reportMissingImports]
from taskiq_redis import RedisStreamBroker  # pyright: ignore[reportMissingImports]

from benchmarks.peers.program import TEXT, Peer, begun_here, main

TASKS = 100
PREFETCH = 100


class Queue(Peer):
    settings = (
        f"RedisStreamBroker, no result backend; worker: max_async_tasks={TASKS}, its default, max_prefetch={PREFETCH}, asyncio, "
        "redis[hiredis]; producers: kiq; durability: Redis with appendfsync always, each command synced, claims and acknowledgements too"
    )

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.broker = RedisStreamBroker(url or "redis://", queue_name="bench")
        self.nothing = self.broker.task(task_name="nothing")(nothing)
        self.moment = self.broker.task(task_name="moment")(moment)

    def version(self) -> str:
        return f"{version('taskiq')} with taskiq-redis {version('taskiq-redis')}"

    async def make(self) -> None:
        """The group of consumers, which sees what comes after it was made."""
        await self.broker.startup()
        await self.broker.shutdown()

    async def open(self) -> None:
        await self.broker.startup()

    async def put(self) -> None:
        await self.nothing.kiq(data=TEXT)

    async def put_moment(self, n: int) -> None:
        await self.moment.kiq(n=n)

    async def left(self) -> int:
        async with Redis(connection_pool=self.broker.connection_pool) as redis:
            group = (await redis.xinfo_groups("bench"))[0]
        return group["lag"] + group["pending"]

    async def close(self) -> None:
        await self.broker.shutdown()

    async def start(self) -> Callable[[], Awaitable[None]]:
        return lambda: run_receiver_task(self.broker, max_async_tasks=TASKS, max_prefetch=PREFETCH, run_startup=True)


async def nothing(data: str) -> None: ...


async def moment(n: int) -> None:
    await begun_here(n)


if __name__ == "__main__":
    main(Queue)
