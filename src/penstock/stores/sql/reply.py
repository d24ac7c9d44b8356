"""Answers that cross threads: to a coroutine, or to a thread that waits."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeAlias

from msgspec import Struct


class Reply(Struct, gc=False, eq=False):
    """Where an answer is awaited. `loop` None: by a thread."""

    future: Any
    loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    def awaited(cls) -> Reply:
        loop = asyncio.get_running_loop()
        return cls(loop.create_future(), loop)

    @classmethod
    def blocking(cls) -> Reply:
        return cls(Future())


async def in_a_thread(work: Callable[[], None]) -> None:
    """Like `asyncio.to_thread`, but in a thread of its own: also while the interpreter ends."""
    reply = Reply.awaited()

    def run() -> None:
        try:
            work()
        except BaseException as error:
            send([(reply, None, error)])
        else:
            send([(reply, None, None)])

    threading.Thread(target=run, name="penstock-once", daemon=True).start()
    await reply.future


Answer: TypeAlias = tuple[Reply, Any, BaseException | None]


def send(answers: Iterable[Answer]) -> None:
    """One hop to each loop, however many answers there are."""
    loops: defaultdict[asyncio.AbstractEventLoop, list[Answer]] = defaultdict(list)
    for answer in answers:
        if answer[0].loop is None:
            _resolve([answer])
        else:
            loops[answer[0].loop].append(answer)
    for loop, group in loops.items():
        with suppress(RuntimeError):  # it is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, group)


def _resolve(answers: list[Answer]) -> None:
    for reply, value, error in answers:
        future = reply.future
        if future.done():
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
