"""What a worker is given to run, and how."""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from penstock.engine.nursery import Nursery
from penstock.errors import ConfigurationError
from penstock.model.delivery import Delivery
from penstock.model.limit import Limit
from penstock.model.log import SubscriptionSpec, TopicSpec
from penstock.model.schedule import Schedule
from penstock.ports.handler import Routes, Stage

Hook: TypeAlias = Callable[[Delivery, BaseException], Awaitable[object] | object]
"""`on_error`: told of each failed attempt, after it was handed to the settler. Sync or async."""


class Program(Struct, frozen=True):
    """What the app defined. `routes` by task name, aliases and `….on_dead` hooks included."""

    routes: Routes
    stages: Sequence[Stage] = ()
    """Middleware, the first one outermost."""
    on_error: Sequence[Hook] = ()
    state: object = None
    """What the lifespan yielded."""
    subscriptions: Sequence[SubscriptionSpec] = ()
    topics: Sequence[TopicSpec] = ()
    """Also those that only others subscribe to."""
    schedules: Sequence[Schedule] = ()
    nursery: Nursery | None = None
    """Where a task has `isolation="process"`: how its children are made."""
    limits: Sequence[Limit] = ()
    """Of queues, as the code says."""


class WorkerOptions(Struct, frozen=True):
    """Durations in seconds."""

    concurrency: int = 100
    queues: tuple[tuple[str, int], ...] = ()
    """Names and weights: only these. Empty: the queues of all routes, and others where jobs of theirs wait."""
    lease: float = 15.0
    shutdown_timeout: float = 25.0
    stall_limit: float = 60.0
    app: str = ""
    name: str = ""
    threads: int | None = None
    """For `def` handlers; None: as many as `concurrency`."""
    children: int | None = None
    """Child processes at once, for handlers with `isolation="process"`; None: one for each processor, at least 2, at most `concurrency`."""
    child_jobs: int | None = None
    """A child that has done so many is replaced; None: never for that."""
    child_idle: float = 60.0
    """A child without work for so long ends."""
    stuck_after: float = 300.0
    """A job that has no timeout is told as stuck after so long; one that has, after half of it."""

    @property
    def most_children(self) -> int:
        return self.children or min(self.concurrency, max(2, os.cpu_count() or 1))

    def __post_init__(self) -> None:
        lengths = {"lease": self.lease, "stall_limit": self.stall_limit, "child_idle": self.child_idle, "stuck_after": self.stuck_after}
        for name, value in {"concurrency": self.concurrency, **lengths}.items():
            if value <= 0:
                raise ConfigurationError(f"WorkerOptions({name}={value!r}): must be more than 0")
        if self.shutdown_timeout < 0:
            raise ConfigurationError(f"WorkerOptions(shutdown_timeout={self.shutdown_timeout!r}): must be at least 0")
        if self.threads is not None and self.threads < 1:
            raise ConfigurationError(f"WorkerOptions(threads={self.threads!r}): must be at least 1, or None for as many as concurrency")
        for name, number in {"children": self.children, "child_jobs": self.child_jobs}.items():
            if number is not None and number < 1:
                raise ConfigurationError(f"WorkerOptions({name}={number!r}): must be at least 1, or None")
        names = [queue for queue, _ in self.queues]
        if twice := next((queue for queue in names if names.count(queue) > 1), None):
            raise ConfigurationError(f"WorkerOptions(queues=…): {twice!r} is there twice; say it once, with one weight")
        for queue, weight in self.queues:
            if weight < 1:
                raise ConfigurationError(f"WorkerOptions(queues=…): the weight of {queue!r} is {weight}, must be at least 1")


async def tell(hook: Hook, delivery: Delivery, error: BaseException) -> None:
    answer = hook(delivery, error)
    if inspect.isawaitable(answer):
        await answer
