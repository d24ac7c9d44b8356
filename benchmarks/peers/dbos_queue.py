"""DBOS: a workflow a job, on a queue of its system database; producers use its client, as its example of a queue worker does."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from threading import Event

import sqlalchemy
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions  # pyright: ignore[reportMissingImports]

from benchmarks.peers.blocking import BlockingPeer
from benchmarks.peers.program import TEXT, begun, main

QUEUE, RELEASE = "bench", "1"
CONCURRENCY, POLLING = 200, 0.01
POOL = 20


class Queue(BlockingPeer):
    settings = (
        f"worker: worker_concurrency={CONCURRENCY}, polling_interval_sec={POLLING} (its default is a second), psycopg; "
        f"producers: DBOSClient with a pool of {POOL}; many: enqueue_in_transaction; durability: puts synced, a worker's commits not"
    )

    def version(self) -> str:
        return version("dbos")

    async def make(self) -> None:
        await asyncio.to_thread(declare, self.url)

    async def open(self) -> None:
        self.engine = sqlalchemy.create_engine(self.url.replace("postgresql:", "postgresql+psycopg:"), pool_size=POOL, max_overflow=0)
        self.client = DBOSClient(system_database_engine=self.engine)

    def send(self) -> None:
        self.client.enqueue(options("nothing"), TEXT)

    def send_moment(self, n: int) -> None:
        self.client.enqueue(options("moment"), n)

    async def put_many(self, count: int) -> None:
        with self.engine.begin() as connection:
            for _ in range(count):
                self.client.enqueue_in_transaction(connection, options("nothing"), TEXT)

    async def close(self) -> None:
        self.client.destroy()
        self.engine.dispose()

    async def start(self) -> Callable[[], Awaitable[None]]:
        async def begin() -> None:
            await asyncio.to_thread(launch, self.url)
            await asyncio.to_thread(Event().wait)

        return begin


def declare(url: str) -> None:
    launch(url)
    DBOS.register_queue(QUEUE, worker_concurrency=CONCURRENCY, polling_interval_sec=POLLING)
    DBOS.destroy()


def launch(url: str) -> None:
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": url,
        "application_version": RELEASE,
        "executor_id": os.environ.get("PEER_NAME", str(os.getpid())),
        "log_level": "WARNING",
    }
    DBOS(config=config)
    DBOS.launch()


def options(name: str) -> EnqueueOptions:
    return {"workflow_name": name, "queue_name": QUEUE, "app_version": RELEASE}


@DBOS.workflow(name="nothing")
def nothing(data: str) -> None: ...


@DBOS.workflow(name="moment")
def moment(n: int) -> None:
    begun(n)


if __name__ == "__main__":
    logging.getLogger("dbos").setLevel(logging.WARNING)
    main(Queue)
