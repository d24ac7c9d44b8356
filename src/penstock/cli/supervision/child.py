"""A worker process: an app, a worker on an event loop, and a tether to the parent."""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from penstock.app import App
from penstock.cli import apps, exits
from penstock.cli.supervision import logs
from penstock.cli.supervision.order import Order
from penstock.cli.supervision.reports import log_event, log_failure, log_tasks
from penstock.cli.supervision.tether import Failed, Gone, Ready, Stop, Tether, inherited
from penstock.cli.words import did_you_mean
from penstock.connect import Source
from penstock.engine.program import WorkerOptions
from penstock.engine.worker import Worker
from penstock.errors import ConfigurationError, PenstockError

_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1
_LINGER = 5.0
"""Seconds that what the app left behind (threads, exit hooks) may take once the worker has left the registry."""


class _EarlyStop(BaseException):
    """Told to stop while the app was being imported."""


def work(fd: int) -> int:
    """The exit code."""
    tether = inherited(fd)
    order = tether.first()
    if not isinstance(order, Order):
        return exits.OK
    _follow_parent()
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    try:
        _while_importing(_raise_early_stop)
        app = _prepared(order)
        logs.configure(order.log_format)
        code = asyncio.run(_serve(app, order, tether))
    except _EarlyStop:
        code = exits.OK
    except PenstockError as error:
        code = exits.code_of(error)
        tether.tell(Failed(code, str(error)))
    _end_in_time(code)
    return code


def _prepared(order: Order) -> App:
    app = apps.load(order.app)
    app.source = Source(order.app, order.log_format)
    if order.store is not None:
        app.place.move(order.store)
    app.on_error(log_failure)
    app.signals.listen(log_event)
    return app


async def _serve(app: App, order: Order, tether: Tether) -> int:
    steering = _Steering(tether)
    options = _options(app, order)
    async with app.worker(options) as worker:
        steering.take(worker)
        served = options.queues or tuple((queue, 1) for queue in _queues(app))
        tether.tell(Ready(app.found.url, tuple(queue for queue, _ in served)))
        await steering.stopped()
    await app.close()
    _end_in_time(exits.OK)
    return exits.OK


def _options(app: App, order: Order) -> WorkerOptions:
    known = _queues(app)
    queues = tuple((_known_queue(name, app.name, known), weight) for name, weight in order.queues)
    return WorkerOptions(
        concurrency=order.concurrency,
        queues=queues,
        lease=order.lease,
        shutdown_timeout=order.shutdown_timeout,
        children=order.children,
    )


def _queues(app: App) -> list[str]:
    return sorted({route.queue for route in app.routes().values()})


def _known_queue(name: str, app: str, known: list[str]) -> str:
    """The app's own queue may be named without the app."""
    for candidate in (name, f"{app}.{name}"):
        if candidate in known:
            return candidate
    raise ConfigurationError(f"--queues: no task of app {app!r} uses a queue {name!r}{did_you_mean(name, known)}")


class _Steering:
    """What the parent says and what signals say, on the loop. A signal asks politely however often it comes."""

    def __init__(self, tether: Tether) -> None:
        self._tether = tether
        self._stop = asyncio.Event()
        self._worker: Worker | None = None
        self._hurry: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        for number in _STOPS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._loop.add_signal_handler(number, self._stop.set)
        self._loop.add_reader(tether.fileno(), self._listen)
        self._listen()  # words that came together with the order
        self._loop.add_signal_handler(signal.SIGUSR1, log_tasks, self._loop)
        faulthandler.register(signal.SIGUSR1, all_threads=True, chain=True)

    def take(self, worker: Worker) -> None:
        self._worker = worker

    async def stopped(self) -> None:
        await self._stop.wait()

    def _listen(self) -> None:
        for word in self._tether.heard():
            match word:
                case Stop(now):
                    self._stop.set()
                    if now and self._worker is not None and self._hurry is None:
                        self._hurry = self._loop.create_task(self._worker.stop(now=True))
                case Gone():
                    self._stop.set()
                    self._loop.remove_reader(self._tether.fileno())


def _follow_parent() -> None:
    """Should the parent be killed, the kernel tells us at once, also while the app is being imported. Elsewhere: the tether."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _while_importing(handler: Callable[[int, object], NoReturn]) -> None:
    for number in _STOPS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _raise_early_stop(number: int, frame: object) -> NoReturn:
    raise _EarlyStop


def _end_in_time(code: int) -> None:
    """A handler's thread that never ends must not keep the process: its job was released."""
    timer = threading.Timer(_LINGER, os._exit, [code])
    timer.daemon = True
    timer.start()
