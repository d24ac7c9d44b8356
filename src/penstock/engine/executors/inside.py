"""The inside of a child process: one job at a time, on a loop of its own.

An `async def` runs on the loop that the lifespan was entered on; a `def` on a thread beside it, so that the loop hears of a cancellation
meanwhile. The loop, the state and the modules last as long as the child: jobs that follow each other share them.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

from penstock.engine.executors.meaning import raised
from penstock.engine.executors.thread import Threads
from penstock.engine.executors.words import Leave, Progress, Ready, Reply, Returned, Stop, Work, decode_order, frame, next_frame
from penstock.engine.running import Flag
from penstock.engine.stages.invoke import Surroundings, done
from penstock.errors import ConfigurationError
from penstock.model.delivery import Delivery
from penstock.model.retry import Retry
from penstock.ports.handler import Route, Routes


class Inside:
    """Made on the loop."""

    def __init__(self, routes: Routes, state: object, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self._routes = routes
        self._state = state
        self._reader, self._writer = streams
        self._loop = asyncio.get_running_loop()
        self._threads = Threads(1, self._loop)
        self._flag = Flag()
        self._work: asyncio.Task[None] | None = None
        self._asynchronous = False

    async def serve(self) -> bool:
        """True: it was told to leave. False: its worker is gone."""
        self._say(Ready())
        while (body := await next_frame(self._reader)) is not None:
            match decode_order(body):
                case Work(delivery):
                    route = self._routes.get(delivery.task)
                    self._flag = Flag()
                    self._asynchronous = route is not None and route.asynchronous
                    self._work = self._loop.create_task(self._carry(route, delivery))
                    await asyncio.sleep(0)  # it begins: one that was cancelled before would not answer
                case Stop():
                    self._stop()
                case Leave():
                    await self._writer.drain()
                    return True
        return False

    def progress(self, seq: int, fraction: float, note: str) -> None:
        """Tell the worker how far a job is. On any thread; never waits."""
        with suppress(RuntimeError):  # the loop is closed, and this thread outlived it
            self._loop.call_soon_threadsafe(self._say, Progress(seq, fraction, note))

    def _stop(self) -> None:
        self._flag.set()
        if self._work is not None and self._asynchronous:
            self._work.cancel()

    async def _carry(self, route: Route | None, delivery: Delivery) -> None:
        try:
            answer: Reply = await self._run(known(route, delivery), delivery)
        except BaseException as error:  # nobody is above it to tell, and the worker decides what it means
            answer = raised(error, Retry() if route is None else route.retry)
        self._say(answer)

    async def _run(self, route: Route, delivery: Delivery) -> Returned:
        scope = Surroundings(delivery, self._flag, self._state, None, self.progress)
        call = partial(route.call, route.decode(delivery), scope, await route.inject())
        value = await call() if route.asynchronous else await self._threads.submit(call)
        ended = Returned() if value is None else done(route, value)
        return Returned(ended.result, ended.unavailable)

    def _say(self, word: Reply) -> None:
        self._writer.write(frame(word))


def known(route: Route | None, delivery: Delivery) -> Route:
    if route is None:
        raise ConfigurationError(
            f"the child process does not know {delivery.task!r}: it imports the app's module and the one that defines the task; "
            f"define it at the top level of one that an import finds by its name, not under a condition"
        )
    return route
