"""A job from outside: one enqueued run of a task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

import msgspec

from penstock.api.link import Link
from penstock.errors import JobCancelled, JobFailed, NotFound, PayloadError, ResultExpired, ResultUnavailable
from penstock.model.clock import Duration, seconds
from penstock.model.job import ENDED, Cancelled, JobView, Progress, Status
from penstock.ports.store import Store

R_co = TypeVar("R_co", covariant=True)

_FIRST_REST = 0.02
_LONGEST_REST = 1.0
"""Seconds between two looks at a job that somebody waits for, in case that nobody tells him."""


def plain(body: bytes | None) -> Any:
    """A result as JSON values, where no task says its type."""
    return None if body is None else msgspec.json.decode(body)


class Job(Generic[R_co]):
    """A handle: cheap, without a connection of its own. `task.enqueue` returns one; `app.job(id)` makes one for a known id.

    `created` is False when the id given with `using(id=…)` was known already, or the name of `using(unique=…)` was held: nothing was
    stored, and this is the job that is there.

        job = await build_report.enqueue("2024-01")
        path = await job.result(timeout=60)
    """

    __slots__ = ("_decode", "_link", "_uncommitted", "created", "id")

    def __init__(self, id: str, link: Link, decode: Callable[[bytes | None], Any], created: bool, uncommitted: bool = False) -> None:
        self.id = id
        self.created = created
        self._link = link
        self._decode = decode
        self._uncommitted = uncommitted

    def __repr__(self) -> str:
        return f"Job({self.id!r})"

    @property
    def sync(self) -> SyncJob[R_co]:
        """The same for code without an event loop."""
        return SyncJob(self)

    async def result(self, *, timeout: Duration | None = None) -> R_co:
        """Wait until the job is done and return what its handler returned.

        Raises JobFailed (dead letter), JobCancelled (cancelled or expired), ResultUnavailable (done, but the value was too
        large, not encodable or not of the annotated type), ResultExpired (no longer in the history), NotFound (its transaction
        did not commit), and TimeoutError after `timeout` seconds. None: wait for ever.
        """
        patience = None if timeout is None else seconds(timeout)
        async with asyncio.timeout(patience):
            view = await self._link.run(self._ended)
        return self._outcome(view)

    async def status(self) -> Status:
        """Where the job is now. Raises NotFound once the history no longer holds it."""
        return (await self._link.run(self._view)).status

    async def cancel(self) -> Cancelled:
        """`cancelled`: it will never run. `requested`: it runs, and was told. `ended`: too late. Raises NotFound."""
        return await self._link.run(lambda store: store.queue.cancel(self.id))

    async def progress(self) -> Progress | None:
        """What its handler said last by `ctx.progress`, at most a second ago while it runs; None: nothing. Raises NotFound.

        After a failed attempt that is what the failed one said, until the next one says something.
        """
        return (await self._link.run(self._view)).progress

    async def _ended(self, store: Store) -> JobView:
        view = await self._look(store, seen=not self._uncommitted)
        if view.status in ENDED:
            return view
        async with store.follow.watch(self.id) as told:
            rest = _FIRST_REST
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(rest):
                        await told.wait()
                told.clear()
                view = await self._look(store, seen=True)
                if view.status in ENDED:
                    return view
                rest = min(rest * 2, _LONGEST_REST)

    async def _look(self, store: Store, *, seen: bool) -> JobView:
        view = await store.inspect.job(self.id)
        if view is None:
            raise ResultExpired(f"job {self.id} is no longer in the history") if seen else self._missing()
        return view

    async def _view(self, store: Store) -> JobView:
        view = await store.inspect.job(self.id)
        if view is None:
            raise self._missing()
        return view

    def _missing(self) -> NotFound:
        return NotFound(f"no job {self.id}: not committed, rolled back, or no longer in the history")

    def _outcome(self, view: JobView) -> R_co:
        match view.status:
            case "done" if view.unavailable is not None:
                raise ResultUnavailable(f"job {self.id} ({view.task}) is done; its result was not kept: {view.unavailable}")
            case "done":
                return self._decoded(view)
            case "dead":
                raise JobFailed(f"job {self.id} ({view.task}) is a dead letter{_last_error(view)}")
            case _:
                raise JobCancelled(
                    f"job {self.id} ({view.task}) was {'cancelled' if view.status == 'cancelled' else 'not started in time'}"
                )

    def _decoded(self, view: JobView) -> R_co:
        try:
            value: R_co = self._decode(view.result)
        except PayloadError as error:
            raise ResultUnavailable(f"job {self.id} is done: {error}") from error
        return value


class SyncJob(Generic[R_co]):
    """A `Job` for code without an event loop. Blocks the calling thread."""

    __slots__ = ("_job",)

    def __init__(self, job: Job[R_co]) -> None:
        self._job = job

    def result(self, *, timeout: Duration | None = None) -> R_co:
        """As `Job.result`."""
        job = self._job
        patience = None if timeout is None else seconds(timeout)

        async def wait(store: Store) -> JobView:
            async with asyncio.timeout(patience):
                return await job._ended(store)  # pyright: ignore[reportPrivateUsage]

        return job._outcome(job._link.call(wait, "await job.result()"))  # pyright: ignore[reportPrivateUsage]

    def progress(self) -> Progress | None:
        """As `Job.progress`."""
        job = self._job
        return job._link.call(job._view, "await job.progress()").progress  # pyright: ignore[reportPrivateUsage]

    def status(self) -> Status:
        """As `Job.status`."""
        job = self._job
        return job._link.call(job._view, "await job.status()").status  # pyright: ignore[reportPrivateUsage]

    def cancel(self) -> Cancelled:
        """As `Job.cancel`."""
        job = self._job
        return job._link.call(lambda store: store.queue.cancel(job.id), "await job.cancel()")  # pyright: ignore[reportPrivateUsage]


def _last_error(view: JobView) -> str:
    for attempt in reversed(view.history):
        if attempt.error is not None:
            return f": {attempt.error.type}: {attempt.error.message}"
    return ""
