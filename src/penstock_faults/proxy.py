"""A connection that breaks between a PostgreSQL server and its client, where a test wants it to.

It reads along in both directions (protocol 3.0): a request ends with Sync or Query, its reply with ReadyForQuery. A request that
is to be lost is not passed on. A reply that is to be lost is waited for, to its end: so the server has done the deed, and
committed, when its client sees the connection break.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

Loss: TypeAlias = Literal["request", "reply", "half a reply"]
Rule: TypeAlias = Callable[[Sequence[str]], Loss | None]
"""Asked at the end of each request: the statements of its transaction, and its own as the last."""


def no_delay() -> float:
    """Seconds that the end of a reply is late."""
    return 0.0


def nothing(_: Sequence[str]) -> None:
    """No loss."""


def commits(statements: Sequence[str]) -> bool:
    """One that stands alone does so itself."""
    return statements[-1] == "commit" or len(statements) == 1


@dataclass(frozen=True)
class Lost:
    what: Loss
    statement: str


class Proxy:
    """Lives on the loop that enters it."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._links: set[asyncio.Task[None]] = set()
        self.rule: Rule = nothing
        self.delay: Callable[[], float] = no_delay
        self.lost: list[Lost] = []
        self.url = ""
        """Through it; there is no TLS on the way, it could not read that."""

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        query = "&".join(filter(None, (self._parts.query, "sslmode=disable")))
        self.url = urlunsplit(self._parts._replace(netloc=f"{self._parts.username}@127.0.0.1:{port}", query=query))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()
        for link in list(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def lose_commit(self, loss: Loss, of: str) -> None:
        """The next one that commits a statement in which `of` is."""

        def rule(statements: Sequence[str]) -> Loss | None:
            if not commits(statements) or not any(of in each for each in statements):
                return None
            self.rule = nothing
            return loss

        self.rule = rule

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            with suppress(OSError, EOFError, asyncio.CancelledError):  # of whichever side
                there = await asyncio.open_connection(self._parts.hostname, self._parts.port)
                try:
                    await Link(self, reader, writer, *there).run()
                finally:
                    there[1].transport.abort()
        finally:
            writer.transport.abort()
            self._links.discard(task)


@dataclass
class Link:
    """One connection. `pending`: requests without a reply yet, the first of which may be the beginning, which has no statement."""

    proxy: Proxy
    client_in: asyncio.StreamReader
    client_out: asyncio.StreamWriter
    server_in: asyncio.StreamReader
    server_out: asyncio.StreamWriter
    pending: deque[tuple[str, Loss | None]] = field(default_factory=deque)
    prepared: dict[bytes, str] = field(default_factory=dict)
    transaction: list[str] = field(default_factory=list)
    statement: str = ""

    async def run(self) -> None:
        """Until one side ends, or something is lost."""
        size = await self.client_in.readexactly(4)
        self.server_out.write(size + await self.client_in.readexactly(int.from_bytes(size, "big") - 4))
        self.pending.append(("", None))
        sides = [asyncio.create_task(side) for side in (self.ask(), self.answer())]
        try:
            await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for side in sides:
                side.cancel()
            await asyncio.gather(*sides, return_exceptions=True)

    async def ask(self) -> None:
        while True:
            kind, message = await read(self.client_in)
            self.note(kind, message[5:])
            if kind in b"QS":
                loss = self.proxy.rule((*self.transaction, self.statement)) if self.statement else None
                if loss == "request":
                    return self.say(loss, self.statement)
                self.pending.append((self.statement, loss))
                self.statement = ""
            self.server_out.write(message)
            await self.server_out.drain()

    def note(self, kind: bytes, body: bytes) -> None:
        """The statement that is run; that it is prepared is none."""
        if kind == b"Q":
            self.statement = plain(body[:-1])
        elif kind == b"P":
            name, sql, _ = body.split(b"\0", 2)
            self.prepared[name] = plain(sql)
        elif kind == b"B":
            self.statement = self.prepared[body.split(b"\0", 2)[1]]

    async def answer(self) -> None:
        while True:
            kind, message = await read(self.server_in)
            if kind == b"Z" and (late := self.proxy.delay()):
                await asyncio.sleep(late)
            statement, loss = self.pending[0] if self.pending else ("", None)
            if loss is None:
                self.client_out.write(message)
                await self.client_out.drain()
            elif loss == "half a reply":
                self.client_out.write(message[: len(message) // 2])
            if kind == b"Z":
                if loss is not None:
                    return self.say(loss, statement)
                self.pending.popleft()
                self.transaction = [] if message[5:] == b"I" else [*self.transaction, statement]

    def say(self, loss: Loss, statement: str) -> None:
        self.proxy.lost.append(Lost(loss, statement))


async def read(stream: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """A message's kind, and all of it."""
    head = await stream.readexactly(5)
    return head[:1], head + await stream.readexactly(int.from_bytes(head[1:], "big") - 4)


def plain(sql: bytes) -> str:
    """On one line, lower case, without quotes around names."""
    return " ".join(sql.decode().lower().replace('"', "").split()).rstrip(";")
