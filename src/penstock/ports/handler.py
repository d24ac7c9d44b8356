"""What the engine is given to run. The api layer implements `Route`; the engine never sees a decorator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from penstock.model.delivery import Delivery
from penstock.model.outcome import Ending, Outcome
from penstock.model.retry import Retry
from penstock.ports.transaction import OpenTransaction

Isolation: TypeAlias = Literal["loop", "thread", "process"]

Handler: TypeAlias = Callable[[Delivery], Awaitable[Ending]]
"""A delivery in, how it ended out; `Split` only of a batch. Never raises, cancellation of the worker itself excepted."""

Next: TypeAlias = Callable[[Delivery], Awaitable[Outcome]]

Stage: TypeAlias = Callable[[Delivery, Next], Awaitable[Outcome]]
"""Middleware: `async def stage(delivery, next): return await next(delivery)`."""


class Batch(NamedTuple):
    """Of a batch task: at most `size` rows a call, and `wait` seconds for more after the first."""

    size: int
    wait: float


class Cancellation(Protocol):
    """Tells a running handler that it should stop."""

    def is_set(self) -> bool: ...


class Scope(Protocol):
    """What surrounds one run of a handler."""

    @property
    def delivery(self) -> Delivery: ...

    @property
    def cancellation(self) -> Cancellation: ...

    @property
    def state(self) -> Any:
        """What the app's lifespan yielded."""
        ...

    @property
    def transaction(self) -> OpenTransaction | None: ...


class Route(Protocol):
    """A task or a subscription as the engine sees it."""

    @property
    def name(self) -> str: ...

    @property
    def aliases(self) -> tuple[str, ...]: ...

    @property
    def queue(self) -> str: ...

    @property
    def isolation(self) -> Isolation: ...

    @property
    def asynchronous(self) -> bool:
        """The handler is an `async def`; in a process it may be either."""
        ...

    @property
    def memory(self) -> int | None:
        """Bytes that its child process may use; only with `process`."""
        ...

    @property
    def retry(self) -> Retry: ...

    @property
    def timeout(self) -> float | None:
        """Seconds."""
        ...

    @property
    def transactional(self) -> bool:
        """The handler asked for `tx`."""
        ...

    @property
    def batch(self) -> Batch | None:
        """`call` takes a list of what `decode` gives."""
        ...

    @property
    def hook(self) -> bool:
        """The task has an `on_dead` hook; `name + ".on_dead"` is a route of its own."""
        ...

    @property
    def bare(self) -> bool:
        """Wants neither ctx nor tx nor anything injected: `call` needs no scope."""
        ...

    def decode(self, delivery: Delivery) -> Any:
        """The arguments. Raises UndecodablePayload."""
        ...

    async def inject(self) -> Mapping[str, object]:
        """Values for the `inject()` defaults, made on the loop."""
        ...

    def call(self, arguments: Any, scope: Scope | None, injected: Mapping[str, object]) -> Any:
        """Call the user's function: a coroutine for an `async def`, the value for a `def` (called on a thread)."""
        ...

    def encode(self, value: object) -> bytes | None:
        """The result; None for None. Raises PayloadError: the job is done all the same."""
        ...


Routes: TypeAlias = Mapping[str, Route]
"""By task name, aliases included."""
