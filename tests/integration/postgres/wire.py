"""A way to the server that counts: each answer that ends with ReadyForQuery is a round trip."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class Wire:
    """Stands between clients and the server."""

    def __init__(self, url: str) -> None:
        self.trips = 0
        self.url = ""
        self._parts = urlsplit(url)
        self._copies: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator[Self]:
        wire = cls(url)
        async with await asyncio.start_server(wire._serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            user = wire._parts.netloc.rpartition("@")[0]
            wire.url = urlunsplit(wire._parts._replace(netloc=f"{user}@127.0.0.1:{port}" if user else f"127.0.0.1:{port}"))
            yield wire
            for writer in wire._writers:
                writer.close()
            await asyncio.gather(*wire._copies)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        self._writers += (ours, writer)
        self._copies += [asyncio.create_task(copy) for copy in (self._ask(reader, ours), self._answer(theirs, writer))]

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        buffer, started = bytearray(), False
        while data := await reader.read(65536):
            buffer += data
            while buffer:
                if not started and buffer[:1] == b"N":  # no encryption: one byte without a length
                    del buffer[:1]
                    continue
                started = True
                if len(buffer) < 5 or len(buffer) < (size := 1 + int.from_bytes(buffer[1:5], "big")):
                    break
                self.trips += buffer[:1] == b"Z"
                del buffer[:size]
            writer.write(data)
        writer.close()
