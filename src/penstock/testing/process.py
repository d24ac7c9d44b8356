"""A simulated process: one worker on one handle of the store, from its start to its end or its crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from random import Random
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from penstock.api.link import Diversion, Link, inside
from penstock.app import App
from penstock.engine.program import Program, WorkerOptions
from penstock.engine.ties import Ties
from penstock.engine.worker import Worker
from penstock.errors import ConfigurationError
from penstock.model.clock import Clock
from penstock.model.job import JobFilter
from penstock.ports.handler import Stage as Middleware
from penstock.ports.store import Store
from penstock.testing.faults import Crashed, Faults, Wire
from penstock.testing.report import Recorder


class Life(Struct, frozen=True):
    """Of one process."""

    worker: Worker
    store: Store
    ties: Ties
    recorder: Recorder
    subscriptions: tuple[str, ...]


_OVER = (
    "the kit is over that ran the handler which started this task or thread; what it enqueues now would go to the app's own store, "
    "or to another test's: let handlers wait for what they start"
)

Plan: TypeAlias = Callable[[Life], Awaitable[None]]
"""What is done while the worker runs. After a crash it is done again, from where the store stands."""


class Stage:
    """What the processes of one kit share."""

    def __init__(self, app: App, options: WorkerOptions, clock: Clock, random: Random) -> None:
        self.app = app
        self.link: Link = app.attachment().link
        self.diversion = Diversion(self.link, lambda: ConfigurationError(_OVER))
        self.options = options
        self.random = random
        self.url = ""
        """Of the kit's store: child processes are told."""
        self.faults = Faults()
        self.recorder = Recorder(clock)
        self.wire = self.new_wire()
        """Of the process that lives now: the store's handle, and the worker on it, report here."""

    def part(self, refusal: Callable[[], Exception]) -> Diversion:
        """A diversion that is over before the kit is."""
        return Diversion(self.link, refusal)

    @contextmanager
    def running(self, diversion: Diversion) -> Iterator[None]:
        """What is started in here belongs to the diversion."""
        token = inside.set(diversion)
        try:
            yield
        finally:
            inside.reset(token)

    def end(self) -> None:
        """The kit is over: what its handlers left behind is refused."""
        self.diversion.over = True

    def new_wire(self) -> Wire:
        return Wire(self.app.signals, self.recorder.note, self.faults)

    def program(self, state: object, *around: Middleware) -> Program:
        """The app's, watched, with `around` outside of its own middleware."""
        program = self.app.program(state, self.url)
        stages, hooks = (*around, *program.stages), (self.recorder.note_error, *program.on_error)
        return replace(program, stages=stages, on_error=hooks)

    async def declare(self, store: Store) -> tuple[str, ...]:
        """Topics and subscriptions that the store does not know yet. All of this app's subscriptions."""
        subscriptions, topics = self.app.feeds()
        if not topics:
            return ()
        names = tuple(each.name for each in subscriptions)
        known = {each.name for each in await store.inspect.subscriptions()} | {each.name for each in await store.inspect.topics()}
        if not known.issuperset((*names, *(topic.name for topic in topics))):
            await store.log.declare(subscriptions, topics)
        return names


async def play(stage: Stage, plan: Plan, patience: float) -> None:
    """Carry out the plan, over as many crashes as were armed. Raises TimeoutError after `patience` real seconds."""
    stage.faults.live = True
    try:
        with stage.running(stage.diversion):
            async with patient(patience, stage.link.settle_here):
                while await _crashes(stage, plan):
                    await stage.link.leave()
                    await _rescue(await stage.link.settle_here())
    finally:
        stage.faults.live = False


@asynccontextmanager
async def patient(seconds: float, store: Callable[[], Awaitable[Store]]) -> AsyncIterator[None]:
    """Raises TimeoutError after that many real seconds, with the jobs that are left in the store."""
    deadline = asyncio.timeout(seconds)
    try:
        async with deadline:
            yield
    except TimeoutError as error:
        if deadline.expired():
            raise TimeoutError(await _unfinished(await store(), seconds)) from error
        raise


async def _crashes(stage: Stage, plan: Plan) -> bool:
    """True: it crashed on the way."""
    store = await stage.link.settle_here()
    wire = stage.wire
    crashed = _told(wire)
    async with stage.app.resources() as state:
        worker = Worker(store, stage.program(state), stage.options, wire, stage.random)
        life = Life(worker, store, Ties(wire, stage.random, lambda: None), stage.recorder, await stage.declare(store))
        await _until_crash(worker, crashed, lambda: plan(life))
    return wire.dead


def _told(wire: Wire) -> asyncio.Event:
    """The point may be reached on any thread."""
    crashed, loop = asyncio.Event(), asyncio.get_running_loop()

    def tell() -> None:
        loop.call_soon_threadsafe(crashed.set)

    wire.crashed = tell
    return crashed


async def _until_crash(worker: Worker, crashed: asyncio.Event, plan: Callable[[], Awaitable[None]]) -> None:
    """A worker that was stopped in good order may still have crashed in its last commits."""
    work = asyncio.ensure_future(_work(worker, plan))
    crash = asyncio.ensure_future(crashed.wait())
    try:
        await asyncio.wait({work, crash}, return_when=asyncio.FIRST_COMPLETED)
        if not crashed.is_set():
            await work
    finally:
        crash.cancel()
        if crashed.is_set():
            await worker.abort()
        else:
            await worker.stop(now=not work.done())
        work.cancel()
        with suppress(asyncio.CancelledError, Crashed):
            await work


async def _work(worker: Worker, plan: Callable[[], Awaitable[None]]) -> None:
    await worker.start()
    await plan()


async def _rescue(store: Store) -> None:
    """What a rescuer finds within a second: incarnations whose lock files are free."""
    for other in await store.leases.others(0):
        if other.gone:
            await store.leases.rescue(other.incarnation, other.beat)


async def _unfinished(store: Store, patience: float) -> str:
    """The worker has given back what it held, and left."""
    left = (await store.inspect.jobs(JobFilter(status="unroutable"), limit=5)).jobs
    shown = ", ".join(f"{view.task} {view.body.decode(errors='replace')[:100]}" for view in left) or "nothing that the store knows"
    return (
        f"the jobs did not come to an end within {patience:g} s: {shown}. Jobs that enqueue themselves without a delay never do; "
        "a handler's own sleeps take real time"
    )
