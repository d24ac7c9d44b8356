"""Penstock itself, where it is treated as its peers are: a worker of it is killed, too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self
from urllib.parse import quote

from benchmarks.peers.program import TEXT, Peer, begun_here, main
from penstock import App
from penstock._version import __version__
from penstock.connect import administration


class Queue(Peer):
    settings = "its defaults"

    def __init__(self, url: str) -> None:
        super().__init__(url if "://" in url else f"sqlite:///{quote(url)}")
        self.app = App(self.url, name="bench")
        self.nothing = self.app.task(name="nothing")(nothing)
        self.moment = self.app.task(name="moment")(moment)

    @classmethod
    def worker(cls, url: str) -> Self:
        return cls(url)

    def version(self) -> str:
        return __version__

    async def make(self) -> None:
        administration(self.url).migrate()

    async def open(self) -> None: ...

    async def put(self) -> None:
        await self.nothing.enqueue(TEXT)

    async def put_moment(self, n: int) -> None:
        await self.moment.enqueue(n)

    async def close(self) -> None:
        await self.app.close()

    async def start(self) -> Callable[[], Awaitable[None]]:
        async def begin() -> None:
            async with self.app.worker():
                await asyncio.Event().wait()

        return begin


async def nothing(data: str) -> None: ...


async def moment(n: int) -> None:
    await begun_here(n)


if __name__ == "__main__":
    main(Queue)
