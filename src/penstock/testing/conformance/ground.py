"""The ground that the tests stand on: a store, its handles, its workers, its time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType

import pytest
from msgspec import Struct
from msgspec.structs import replace

from penstock.model.clock import SECOND
from penstock.model.job import DeadLetterView, JobFilter, JobView, QueueView, Status
from penstock.model.limit import Limit
from penstock.model.message import DEFAULT_PRIORITY, Message, Placed
from penstock.model.outcome import Failed, Failure, Snoozed
from penstock.ports.leases import Enrolment, Rescued
from penstock.ports.queue import Queue
from penstock.ports.store import Store
from penstock.testing.conformance.backend import Backend, Setup, UserConnection, Where
from penstock.testing.conformance.worker import Worker

QUEUE = "mail"
TASK = "send"
ERROR = Failure("ValueError", "no such address", "Traceback: …")
ALL = 1_000_000


class Counts(Struct, frozen=True):
    """One queue, counted."""

    waiting: int = 0
    delayed: int = 0
    running: int = 0
    dead: int = 0
    done: int = 0
    cancelled: int = 0
    expired: int = 0


class Ground:
    """Opens handles and closes them. The first one is `store`; every worker has one of its own, like a process."""

    store: Store

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._handles: list[Store] = []
        self._connections: list[UserConnection] = []
        self._incarnations = 0

    async def __aenter__(self) -> Ground:
        self.store = await self.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for connection in self._connections:
            connection.close()
        for handle in self._handles:
            await handle.close()

    async def open(self, setup: Setup | None = None) -> Store:
        handle = self.backend.make(setup or Setup())
        self._handles.append(handle)
        await handle.open()
        return handle

    async def worker(
        self,
        *tasks: str,
        store: Store | None = None,
        hooks: Sequence[str] = (),
        queues: Sequence[str] = (QUEUE,),
        app: str = "conformance",
        limits: Sequence[Limit] | None = None,
        wishes: Sequence[tuple[str, tuple[str, ...] | None]] = (),
    ) -> Worker:
        """A worker that knows these tasks (`TASK` if none is named)."""
        self._incarnations += 1
        known = tasks or (TASK,)
        incarnation = (1 << 62) + self._incarnations
        worker = Worker(store or await self.open(), incarnation, frozenset(known))
        name = f"worker-{self._incarnations}"
        enrolment = Enrolment(incarnation, app, name, self._incarnations, "here", tuple(queues), known, tuple(hooks))
        said = replace(enrolment, limits=None if limits is None else tuple(limits), wishes=tuple(wishes))
        await worker.store.leases.enrol(said)
        return worker

    def connect(self, where: Where = "here") -> UserConnection:
        connection = self.backend.connect(where)
        self._connections.append(connection)
        return connection

    def needs(self, capability: bool, what: str) -> None:
        if not capability:
            pytest.skip(f"this backend does not have: {what}")

    # -- time --------------------------------------------------------------------------------------

    def now(self) -> int:
        return self.store.clock.now()

    def advance(self, seconds: float) -> None:
        self.backend.advance(seconds)

    def set_wall(self, seconds: float) -> None:
        """Somebody sets the wall clock; no time passes."""
        self.backend.set_wall(seconds)

    def after(self, seconds: float) -> int:
        return self.now() + round(seconds * SECOND)

    def failed(self, seconds: float = 0) -> Failed:
        return Failed(self.after(seconds), ERROR)

    def snoozed(self, seconds: float = 0, *, unwanted: bool = False) -> Snoozed:
        return Snoozed(self.after(seconds), unwanted)

    # -- verbs -------------------------------------------------------------------------------------

    @property
    def queue(self) -> Queue:
        return self.store.queue

    def message(self, name: str, key: str | None = None, priority: int = DEFAULT_PRIORITY, task: str = TASK) -> Message:
        return Message(name, QUEUE, task, name.encode(), key=key, priority=priority)

    async def put(self, *names: str, key: str | None = None, priority: int = DEFAULT_PRIORITY, task: str = TASK) -> None:
        """Messages whose ids and bodies are their names."""
        await self.queue.put([self.message(name, key, priority, task) for name in names])

    async def put_given(self, name: str) -> list[Placed]:
        """The caller chose the id."""
        return await self.queue.put([replace(self.message(name), given=True)])

    async def put_in(self, queue: str, *names: str, key: str | None = None, task: str = TASK) -> None:
        await self.queue.put([replace(self.message(name, key, task=task), queue=queue) for name in names])

    async def put_message(self, message: Message, *, delay: float | None = None, expires: float | None = None) -> None:
        """Both in seconds from now."""
        due, end = (None if seconds is None else self.after(seconds) for seconds in (delay, expires))
        await self.queue.put([replace(message, due=due, expires=end)])

    async def put_delayed(self, name: str, seconds: float, key: str | None = None) -> None:
        await self.put_message(self.message(name, key), delay=seconds)

    async def put_expiring(self, name: str, seconds: float, key: str | None = None) -> None:
        await self.put_message(self.message(name, key), expires=seconds)

    async def rescue(self, dead: Worker, by: Worker) -> Rescued:
        """What a rescuer does once it knows that `dead` is."""
        seen = {other.incarnation: other.beat for other in await by.store.leases.others(by.incarnation)}
        rescued = await by.store.leases.rescue(dead.incarnation, seen[dead.incarnation])
        assert rescued is not None, "a worker whose beat stood still was not declared dead"
        return rescued

    # -- looking -----------------------------------------------------------------------------------

    async def job(self, name: str) -> JobView:
        job = await self.store.inspect.job(name)
        assert job is not None, f"job {name} is not in the store"
        return job

    async def status(self, name: str) -> Status:
        return (await self.job(name)).status

    async def letter(self, name: str) -> DeadLetterView:
        letter = await self.store.inspect.letter(name)
        assert letter is not None, f"{name} is not among the dead letters"
        return letter

    async def happened(self, name: str) -> list[str]:
        return [attempt.what for attempt in (await self.job(name)).history]

    async def view(self, queue: str = QUEUE) -> QueueView:
        return next(view for view in await self.store.inspect.queues() if view.name == queue)

    async def counters(self, queue: str = QUEUE) -> Counts:
        """As the store maintains them."""
        view = await self.view(queue)
        return Counts(view.waiting, view.delayed, view.running, view.dead, view.done, view.cancelled, view.expired)

    async def recount(self, queue: str = QUEUE) -> Counts:
        """As they are, job by job. Right while nothing was pruned or discarded."""
        jobs = (await self.store.inspect.jobs(JobFilter(queue=queue), limit=ALL)).jobs
        found = Counter(job.status for job in jobs)
        waiting, delayed = found["waiting"] + found["unroutable"], found["delayed"] + found["retrying"]
        return Counts(waiting, delayed, found["running"], found["dead"], found["done"], found["cancelled"], found["expired"])


async def until(true: Callable[[], bool | Awaitable[bool]], what: str, seconds: float = 10.0) -> None:
    """Look again and again until it is true; what should have happened by then has not."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        answer = true()
        if answer if isinstance(answer, bool) else await answer:
            return
        assert loop.time() < deadline, f"did not happen within {seconds:g} s: {what}"
        await asyncio.sleep(0.002)
