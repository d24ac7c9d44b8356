"""`ports.follow.Follow`: a socket of this process's own in the folder of bells, made when somebody first waits."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from penstock.errors import PublishUnknown, StoreError
from penstock.ports.follow import Report
from penstock.stores.sql import watching
from penstock.stores.sql.expected import Expected
from penstock.stores.sql.operations import Run
from penstock.stores.sql.roads import Writing
from penstock.stores.sqlite.doorbell import bind, send

_LONGEST = 65_536


class SqliteFollow:
    """Lives on one loop, that of its store."""

    def __init__(self, writer: Writing, bells: Path) -> None:
        self._writer = writer
        self._bells = bells
        self._ear: Ear | None = None

    @asynccontextmanager
    async def watch(self, job_id: str) -> AsyncGenerator[asyncio.Event, None]:
        try:
            ear = self._listen()
        except OSError:  # nobody can be told: then whoever waits has to look
            yield asyncio.Event()
            return
        with ear.expecting(job_id) as told:  # before it is written: the answer may come before that of the writer
            with suppress(StoreError, PublishUnknown):
                work = Run(lambda _: watching.watch(job_id, ear.name), f"wait for job {job_id}", durable=False)
                if not await self._writer.submit(work):
                    told.set()
            yield told

    async def tell(self, owner: int, reports: Sequence[Report]) -> None:
        work = Run(lambda now: watching.tell(owner, reports, now), "keep the progress of jobs", durable=False)
        await self._writer.submit(work)

    def close(self) -> None:
        ear, self._ear = self._ear, None
        if ear is not None:
            ear.close()

    def _listen(self) -> Ear:
        if self._ear is None:
            self._ear = Ear(self._bells)
        return self._ear


class Ear(Expected):
    """Hears which jobs have ended: their ids, in a datagram."""

    def __init__(self, bells: Path) -> None:
        self.name = f"ear-{os.urandom(6).hex()}"
        super().__init__()
        self._path = bells / self.name
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._open(bells)
        except BaseException:
            self._socket.close()
            raise

    def _open(self, bells: Path) -> None:
        self._socket.setblocking(False)
        for ear in list(bells.glob("ear-*")):  # those of the dead are taken down
            send(self._socket, b"", ear)
        bind(self._socket, self._path)
        self._loop.add_reader(self._socket.fileno(), self._rung)

    def close(self) -> None:
        if not self._loop.is_closed():
            self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _rung(self) -> None:
        try:
            while True:
                self._hear(self._socket.recv(_LONGEST))
        except BlockingIOError:
            pass

    def _hear(self, words: bytes) -> None:
        for job_id in words.decode().split():
            self.tell(job_id)
