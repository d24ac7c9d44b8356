"""What a running handler may ask about its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from penstock.ports.handler import Cancellation, Scope

if TYPE_CHECKING:
    import typing_extensions

    State = typing_extensions.TypeVar("State", default=object)  # bare `Context` stays exact; needs no dependency at run time
else:
    State = TypeVar("State")


class Context(Generic[State]):
    """One run of a handler. Ask for it with a first parameter typed `Context` or `Context[Resources]`.

    `Context[Resources]` types `state`: what the app's lifespan yielded; that it is a `Resources` is checked when a worker
    starts. Under a bare `Context`, `state` is `object`. In a test of your own, make one: `Context(Resources(...))`.

        @app.task()
        async def charge(ctx: Context[Resources], order_id: str) -> None:
            await ctx.state.client.charge(order_id, idempotency_key=ctx.job_id)
    """

    __slots__ = ("_attempt", "_cancellation", "_headers", "_job_id", "_job_ids", "_state")

    def __init__(
        self,
        state: State,
        *,
        job_id: str = "",
        job_ids: Sequence[str] = (),
        attempt: int = 1,
        headers: Mapping[str, str] | None = None,
        cancellation: Cancellation | None = None,
    ) -> None:
        self._state = state
        self._job_id = job_id
        self._job_ids = tuple(job_ids) or (job_id,)
        self._attempt = attempt
        self._headers = headers or {}
        self._cancellation = cancellation

    @property
    def state(self) -> State:
        """What the app's lifespan yielded in this worker."""
        return self._state

    @property
    def job_id(self) -> str:
        """The same in every attempt: fit as an idempotency key for others' APIs."""
        return self._job_id

    @property
    def job_ids(self) -> tuple[str, ...]:
        """In a batch, of each row in their order; `job_id`, `attempt` and `headers` are those of its first row."""
        return self._job_ids

    @property
    def attempt(self) -> int:
        """From 1. Deploys, releases and snoozes are not counted."""
        return self._attempt

    @property
    def headers(self) -> Mapping[str, str]:
        """What `using(headers=…)` gave."""
        return self._headers

    @property
    def cancelled(self) -> bool:
        """The job was cancelled, timed out, or its worker stops: a `def` handler should look now and then, and return."""
        return self._cancellation is not None and self._cancellation.is_set()


def context_of(scope: Scope) -> Context[object]:
    delivery = scope.delivery
    return Context(
        scope.state,
        job_id=delivery.job_id,
        job_ids=[row.job_id for row in delivery.rows],
        attempt=delivery.attempt,
        headers=delivery.headers,
        cancellation=scope.cancellation,
    )
