"""Dramatiq on Redis or RabbitMQ, by the scheme of the URL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib.metadata import version

import dramatiq  # pyright: ignore[reportMissingImports]
from dramatiq.brokers.rabbitmq import RabbitmqBroker  # pyright: ignore[reportMissingImports]
from dramatiq.brokers.redis import RedisBroker  # pyright: ignore[reportMissingImports]

from benchmarks.peers.blocking import BlockingPeer
from benchmarks.peers.program import TEXT, begun, main

THREADS = 8


class Queue(BlockingPeer):
    settings = (
        f"worker: {THREADS} threads, its default, plain functions (async ones go through a loop beside the threads), default middleware, "
        "redis[hiredis] or pika; producers: send, threads of one process; durability: Redis with appendfsync always, each command synced, "
        "or RabbitMQ with durable queues, persistent messages and confirm_delivery=True"
    )

    def __init__(self, url: str) -> None:
        super().__init__(url)
        rabbitmq = url.startswith("amqp:")
        self.broker = RabbitmqBroker(url=url, confirm_delivery=True) if rabbitmq else RedisBroker(url=url or "redis://")
        self.nothing = dramatiq.actor(nothing, actor_name="nothing", queue_name="bench", broker=self.broker)
        self.moment = dramatiq.actor(begun, actor_name="moment", queue_name="bench", broker=self.broker)

    def version(self) -> str:
        return version("dramatiq")

    async def make(self) -> None:
        """Its queues are made when somebody puts or takes."""

    async def open(self) -> None: ...

    def send(self) -> None:
        self.nothing.send(data=TEXT)

    def send_moment(self, n: int) -> None:
        self.moment.send(n)

    async def left(self) -> int:
        """On RabbitMQ without those that a worker has fetched, a few for each thread."""
        if isinstance(self.broker, RabbitmqBroker):
            return self.broker.get_queue_message_counts("bench")[0]
        return self.broker.client.hlen(f"{self.broker.namespace}:bench.msgs")

    async def close(self) -> None:
        self.broker.close()

    async def start(self) -> Callable[[], Awaitable[None]]:
        worker = dramatiq.Worker(self.broker, worker_threads=THREADS)

        async def begin() -> None:
            worker.start()
            await asyncio.Event().wait()

        return begin


def nothing(data: str) -> None: ...


if __name__ == "__main__":
    main(Queue)
