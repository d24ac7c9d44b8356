"""Celery on Redis or RabbitMQ, by the scheme of the URL."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from importlib.metadata import version

from celery import Celery  # pyright: ignore[reportMissingImports]
from redis import Redis  # pyright: ignore[reportMissingImports]

from benchmarks.peers.blocking import BlockingPeer
from benchmarks.peers.program import TEXT, begun, main

PREFETCH = 128
"""Its guide to optimizing says to take more when jobs are short."""
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=ERROR")


class Queue(BlockingPeer):
    settings = (
        f"worker: --pool=solo, in the worker's own process, worker_prefetch_multiplier={PREFETCH}, task_acks_late, task_ignore_result, no "
        "gossip, mingle or heartbeat; producers: delay, threads of one process, a pool of 10 connections; durability: Redis with "
        "appendfsync always, each command synced, or RabbitMQ with a durable queue, persistent messages and confirm_publish"
    )

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.app = Celery("bench", broker=url or "redis://", set_as_current=False)
        self.app.conf.update(
            task_default_queue="bench",
            task_acks_late=True,
            task_ignore_result=True,
            worker_prefetch_multiplier=PREFETCH,
            worker_hijack_root_logger=False,
            broker_connection_retry_on_startup=True,
            broker_transport_options={"confirm_publish": True} if url.startswith("amqp:") else {},
        )
        self.nothing = self.app.task(name="nothing")(nothing)
        self.moment = self.app.task(name="moment")(begun)

    def version(self) -> str:
        return version("celery")

    async def make(self) -> None:
        with self.app.connection_for_write() as connection:
            self.app.amqp.queues["bench"](connection.default_channel).declare()

    async def open(self) -> None: ...

    def send(self) -> None:
        self.nothing.delay(data=TEXT)

    def send_moment(self, n: int) -> None:
        self.moment.delay(n)

    async def left(self) -> int:
        """On RabbitMQ without those that a worker has fetched."""
        if self.url.startswith("amqp:"):
            with self.app.connection_for_read() as connection:
                return connection.default_channel.queue_declare("bench", passive=True).message_count
        with Redis.from_url(self.url) as redis:
            return redis.llen("bench") + redis.hlen("unacked")

    async def close(self) -> None:
        self.app.close()

    async def start(self) -> Callable[[], Awaitable[None]]:
        async def begin() -> None:
            self.app.worker_main(["worker", "--pool=solo", f"--hostname={os.getpid()}@%h", *QUIET])

        return begin


def nothing(data: str) -> None: ...


if __name__ == "__main__":
    main(Queue)
