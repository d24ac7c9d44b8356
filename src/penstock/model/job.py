"""A job as it is looked at from outside: where it is, what happened to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import Struct

from penstock.model.clock import to_datetime
from penstock.model.outcome import Failure
from penstock.model.unique import Until

Status: TypeAlias = Literal["waiting", "delayed", "retrying", "running", "done", "dead", "cancelled", "expired", "unroutable"]
"""`waiting` may start now or waits behind its key; `unroutable`: waiting, and no live worker knows its task."""

ENDED: frozenset[Status] = frozenset({"done", "dead", "cancelled", "expired"})

Cancelled: TypeAlias = Literal["cancelled", "requested", "ended"]
"""`cancelled`: it will never run. `requested`: it is running and was told. `ended`: too late."""


class Attempt(Struct, frozen=True):
    """One thing that happened to a job: `failed`, `snoozed`, `died` (its worker), `dead`, `replayed`."""

    number: int
    what: str
    at: int
    """µs."""
    worker: str | None = None
    error: Failure | None = None


class Progress(Struct, frozen=True):
    """How far a handler said it was: `fraction` from 0 to 1, and a few words."""

    fraction: float
    note: str
    told: int
    """µs of the store's clock."""

    @property
    def at(self) -> datetime:
        """When it was written, an aware UTC datetime."""
        return to_datetime(self.told)


class UniqueView(Struct, frozen=True):
    """The unique name of a job. `holder`: the job that holds it now; None: nobody, or nobody looked."""

    name: str
    until: Until
    holder: str | None = None


class JobView(Struct, frozen=True):
    """One job. Times in µs of the store's clock."""

    id: str
    seq: int
    """Its place in the store, in commit order."""
    queue: str
    task: str
    status: Status
    priority: int
    attempt: int
    """Runs counted so far."""
    deaths: int
    enqueued: int
    key: str | None = None
    due: int | None = None
    expires: int | None = None
    started: int | None = None
    ended: int | None = None
    worker: str | None = None
    body: bytes = b""
    headers: bytes | None = None
    result: bytes | None = None
    unavailable: str | None = None
    cancel_requested: bool = False
    progress: Progress | None = None
    unique: UniqueView | None = None
    previous: str | None = None
    """The job before it in its chain."""
    next: str | None = None
    """The job that begins when it is done."""
    history: tuple[Attempt, ...] = ()
    type: str | None = None
    """Of the event, in a subscription's delivery."""


class JobList(Struct, frozen=True):
    """Jobs that match a filter, the newest first."""

    jobs: Sequence[JobView]
    looked: int | None = None
    """The look ended after so many jobs, and others may match. None: there are no others, or as many were found as asked for."""


class DeadLetterView(Struct, frozen=True):
    """A delivery that ended: kept with its body and whole history until replayed or discarded."""

    id: str
    queue: str
    task: str
    reason: str
    died: int
    attempts: int
    deaths: int
    key: str | None
    body: bytes
    headers: bytes | None
    error: Failure | None
    history: tuple[Attempt, ...] = ()
    type: str | None = None
    """Of the event, in a subscription's delivery."""


class QueueView(Struct, frozen=True):
    """Maintained counts of one queue; never counted by scanning."""

    name: str
    paused: bool
    waiting: int
    delayed: int
    running: int
    dead: int
    done: int
    failed: int
    cancelled: int
    expired: int
    oldest: int | None = None
    """µs: when the oldest waiting message was enqueued."""
    max_waiting: int | None = None
    concurrency: int | None = None
    """As `rate`: the operator's, or the code's."""
    rate: str | None = None


class WorkerView(Struct, frozen=True):
    """A worker process that is in the registry."""

    incarnation: int
    name: str
    app: str
    pid: int
    host: str
    started: int
    beat: int
    running: int
    queues: tuple[str, ...]
    tasks: tuple[str, ...]
    blocked: str | None = None
    """What its event loop has been doing for 5 s or more: a stack."""
    dead: bool = False
    """This machine knows for certain that it is, and nobody has taken back yet what it held."""


class JobFilter(Struct, frozen=True):
    """Which jobs or dead letters. None: any. `contains` looks in the body."""

    status: Status | None = None
    queue: str | None = None
    task: str | None = None
    key: str | None = None
    contains: str | None = None
    ids: tuple[str, ...] | None = None
