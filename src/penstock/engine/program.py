"""What a worker is given to run, and how."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from penstock.model.delivery import Delivery
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


class WorkerOptions(Struct, frozen=True):
    """Durations in seconds."""

    concurrency: int = 100
    queues: tuple[tuple[str, int], ...] = ()
    """Names and weights; empty: the queues of all routes."""
    lease: float = 15.0
    shutdown_timeout: float = 25.0
    stall_limit: float = 60.0
    app: str = ""
    name: str = ""
    threads: int | None = None
    """For `def` handlers; None: as many as `concurrency`."""


async def tell(hook: Hook, delivery: Delivery, error: BaseException) -> None:
    answer = hook(delivery, error)
    if inspect.isawaitable(answer):
        await answer
