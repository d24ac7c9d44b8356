"""Peers whose calls block: a hundred clients are threads."""

from __future__ import annotations

import time
from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from threading import Barrier

from benchmarks.peers.program import CLIENTS, Peer, shares


class BlockingPeer(Peer):
    @abstractmethod
    def send(self) -> None: ...

    @abstractmethod
    def send_moment(self, n: int) -> None: ...

    async def put(self) -> None:
        self.send()

    async def put_moment(self, n: int) -> None:
        self.send_moment(n)

    async def together(self, count: int, end: float) -> list[float]:
        """Always by the same threads, since some have a connection for each."""
        if count == 1:
            return self._client(1, end)
        start = Barrier(CLIENTS)

        def client(share: int) -> list[float]:
            start.wait()
            return self._client(share, end)

        return [wait for waits in self._threads.map(client, shares(count)) for wait in waits]

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(CLIENTS)

    def _client(self, count: int, end: float) -> list[float]:
        waits: list[float] = []
        while len(waits) < count and (began := time.perf_counter()) < end:
            self.send()
            waits.append(time.perf_counter() - began)
        return waits
