"""RQ with the worker that forks for no job, its fastest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version

from redis import Redis  # pyright: ignore[reportMissingImports]
from rq import Queue as Jobs  # pyright: ignore[reportMissingImports]
from rq import SimpleWorker  # pyright: ignore[reportMissingImports]

from benchmarks.peers.blocking import BlockingPeer
from benchmarks.peers.program import TEXT, main

NOTHING = "benchmarks.peers.rq_queue.nothing"


class Queue(BlockingPeer):
    settings = (
        "worker: SimpleWorker, which forks for no job, result_ttl=0, redis[hiredis]; producers: enqueue, enqueue_many for many, threads "
        "of one process; durability: Redis with appendfsync always, each command synced, claims and settles too"
    )

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.redis = Redis.from_url(url or "redis://")
        self.queue = Jobs("bench", connection=self.redis)

    def version(self) -> str:
        return version("rq")

    async def make(self) -> None: ...

    async def open(self) -> None: ...

    def send(self) -> None:
        self.queue.enqueue(NOTHING, data=TEXT, result_ttl=0)

    async def put_many(self, count: int) -> None:
        self.queue.enqueue_many([Jobs.prepare_data(NOTHING, kwargs={"data": TEXT}, result_ttl=0) for _ in range(count)])

    def send_moment(self, n: int) -> None:
        self.queue.enqueue("benchmarks.peers.program.begun", n, result_ttl=0)

    async def left(self) -> int:
        return self.redis.llen(self.queue.key) + self.redis.zcard(self.queue.started_job_registry.key)

    async def close(self) -> None:
        self.redis.close()

    async def start(self) -> Callable[[], Awaitable[None]]:
        worker = SimpleWorker([self.queue], connection=self.redis, log_job_description=False)

        async def begin() -> None:
            worker.work(logging_level="ERROR")

        return begin


def nothing(data: str) -> None: ...


if __name__ == "__main__":
    main(Queue)
