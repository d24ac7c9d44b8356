"""What a worker is given to run, and how."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from penstock.errors import ConfigurationError
from penstock.model.delivery import Delivery
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

    def __post_init__(self) -> None:
        positive = {"concurrency": self.concurrency, "lease": self.lease, "stall_limit": self.stall_limit}
        for name, value in positive.items():
            if value <= 0:
                raise ConfigurationError(f"WorkerOptions({name}={value!r}): must be more than 0")
        if self.shutdown_timeout < 0:
            raise ConfigurationError(f"WorkerOptions(shutdown_timeout={self.shutdown_timeout!r}): must be at least 0")
        if self.threads is not None and self.threads < 1:
            raise ConfigurationError(f"WorkerOptions(threads={self.threads!r}): must be at least 1, or None for as many as concurrency")
        for queue, weight in self.queues:
            if weight < 1:
                raise ConfigurationError(f"WorkerOptions(queues=…): the weight of {queue!r} is {weight}, must be at least 1")


async def tell(hook: Hook, delivery: Delivery, error: BaseException) -> None:
    answer = hook(delivery, error)
    if inspect.isawaitable(answer):
        await answer
