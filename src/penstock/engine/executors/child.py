"""A child process and what is said to it: one job at a time.

It is started, says that it is ready, and answers each job with a word; if it dies instead, that is the answer. Told to leave, killed
or dead, it takes no more work. `gone` is set when it is reaped and all it said was heard.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from msgspec import MsgspecError, Struct

from penstock.engine.executors.spawn import Spawned, told
from penstock.engine.executors.words import (
    Leave,
    Order,
    Progress,
    Raised,
    Ready,
    Returned,
    Stop,
    Unfit,
    Work,
    decode_reply,
    frame,
    next_frame,
)
from penstock.engine.nursery import Home
from penstock.engine.stages.invoke import Told
from penstock.errors import ChildDied
from penstock.model.delivery import Delivery

START_PATIENCE = 60.0
"""Seconds until it has to be ready: it imports the app, and enters its lifespan."""
LEAVE_PATIENCE = 5.0
"""Seconds to leave the lifespan in."""
_LAST_WORDS = 1.0


class Died(Struct, frozen=True):
    """Instead of an answer."""

    error: ChildDied


Answer: TypeAlias = Ready | Unfit | Returned | Raised | Died
Spawn: TypeAlias = Callable[[Callable[[int], None]], Spawned]


class Child:
    """Made by `start_child`."""

    def __init__(self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], spawn: Spawn, told: Told) -> None:
        self.gone = asyncio.Event()
        self.jobs = 0
        self.idle_since = 0.0
        """By the loop's clock."""
        self.over = False
        self._reader, self._writer = streams
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[Answer] = self._loop.create_future()
        self._why = ""
        self._process = spawn(self._ended)
        self._listening = self._loop.create_task(self._listen())
        self._burial: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ready(self, home: Home) -> None:
        """Returns when it can take work. Raises ChildDied saying why it never will."""
        self._say(home)
        try:
            async with asyncio.timeout(START_PATIENCE):
                answer = await asyncio.shield(self._answer)
        except TimeoutError:
            raise ChildDied(f"its child process was not ready within {START_PATIENCE:.0f} s") from None
        match answer:
            case Died(error):
                raise error
            case Unfit(problem):
                raise ChildDied(f"its child process cannot start: {problem}")

    def give(self, delivery: Delivery) -> asyncio.Future[Answer]:
        """Never fails and is never cancelled: that it died is an answer, too."""
        self.jobs += 1
        self._answer = self._loop.create_future()
        if self.gone.is_set():
            self._answer.set_result(Died(ChildDied("its child process died before it began")))
        self._say(Work(delivery))
        return self._answer

    def stop(self) -> None:
        """Tell the handler that its job was cancelled."""
        self._say(Stop())

    def leave(self) -> None:
        """In good order; killed if that takes too long."""
        self.over = True
        self._say(Leave())
        self._loop.call_later(LEAVE_PATIENCE, self.kill)

    def kill(self, why: str = "") -> None:
        """`why` goes into the error."""
        if not self.gone.is_set():
            self.over = True
            self._why = self._why or why
            self._process.kill()

    def _say(self, word: Order) -> None:
        """To one that is gone: no effect."""
        if not self._writer.is_closing():
            self._writer.write(frame(word))

    async def _listen(self) -> None:
        try:
            while (body := await next_frame(self._reader)) is not None:
                match decode_reply(body):
                    case Progress(seq, fraction, note):
                        self._told(seq, fraction, note)
                    case answer:
                        self._resolve(answer)
        except MsgspecError as error:
            self.kill(f"said what cannot be understood: {error}")
        self.over = True

    def _ended(self, status: int) -> None:
        self.over = True
        self._burial = self._loop.create_task(self._bury(status))

    async def _bury(self, status: int) -> None:
        """What it said before it died still counts."""
        await asyncio.wait({self._listening}, timeout=_LAST_WORDS)
        self._listening.cancel()
        self._writer.close()
        self._resolve(Died(self._error(status)))
        self.gone.set()

    def _error(self, status: int) -> ChildDied:
        error = ChildDied(f"its child process was killed: {self._why}" if self._why else f"its child process died: {told(status)}")
        if last := self._process.last_lines:
            error.add_note(f"the last it wrote to stderr:\n{last}")
        return error

    def _resolve(self, answer: Answer) -> None:
        if not self._answer.done():
            self._answer.set_result(answer)


async def start_child(command: Sequence[str], told: Told) -> Child:
    """Not ready yet. Raises ChildDied if there can be no process."""
    ours, theirs = socket.socketpair()
    with theirs:
        streams = await asyncio.open_unix_connection(sock=ours)
        try:
            return Child(streams, partial(Spawned, command, theirs), told)
        except ChildDied:
            streams[1].close()
            raise
