"""What a running handler may ask about its run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from penstock.errors import ResultUnavailable
from penstock.model.message import decode_options
from penstock.model.retry import writable
from penstock.ports.handler import Cancellation, Scope

if TYPE_CHECKING:
    import typing_extensions

    State = typing_extensions.TypeVar("State", default=object)  # bare `Context` stays exact; needs no dependency at run time
else:
    State = TypeVar("State")


_LONGEST_NOTE = 500
"""Characters."""


class Context(Generic[State]):
    """One run of a handler. Ask for it with a first parameter typed `Context` or `Context[Resources]`.

    `Context[Resources]` types `state`: what the app's lifespan yielded; that it is a `Resources` is checked when a worker
    starts. Under a bare `Context`, `state` is `object`. In a test of your own, make one: `Context(Resources(...))`.

        @app.task()
        async def charge(ctx: Context[Resources], order_id: str) -> None:
            await ctx.state.client.charge(order_id, idempotency_key=ctx.job_id)
    """

    __slots__ = ("_attempt", "_cancellation", "_headers", "_job_id", "_job_ids", "_previous", "_report", "_state")

    def __init__(
        self,
        state: State,
        *,
        job_id: str = "",
        job_ids: Sequence[str] = (),
        attempt: int = 1,
        headers: Mapping[str, str] | None = None,
        cancellation: Cancellation | None = None,
        previous: Any = None,
        report: Callable[[float, str], None] | None = None,
    ) -> None:
        """`report` is told what `progress` is told."""
        self._state = state
        self._job_id = job_id
        self._job_ids = tuple(job_ids) or (job_id,)
        self._attempt = attempt
        self._headers = headers or {}
        self._cancellation = cancellation
        self._previous = previous
        self._report = report

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

    @property
    def previous(self) -> Any:
        """The result of the job before this one in its chain (`using(then=…)`), as plain JSON values; None without one.

        Raises ResultUnavailable: it was done, and its result could not be kept.
        """
        previous = self._previous
        return previous.value() if isinstance(previous, Previous) else previous

    def progress(self, fraction: float, note: str = "") -> None:
        """Say how far this run is: `fraction` from 0 to 1, and a few words (cut after 500 characters). On any thread; never waits.

        Kept in the store at most once a second, the latest one then; seen by `job.progress()` and `penstock jobs show`. What is said in
        the last second before the end may not be kept. Raises ValueError.
        """
        _check_progress(fraction, note)
        if self._report is not None:
            self._report(float(fraction), writable(note[:_LONGEST_NOTE]))


def _check_progress(fraction: Any, note: Any) -> None:
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 <= fraction <= 1:
        raise ValueError(f"ctx.progress({fraction!r}): a number from 0 to 1")
    if not isinstance(note, str):
        raise ValueError(f"ctx.progress(note={note!r}): a text")


class Previous:
    """A result that is decoded when it is asked for, from a message's options."""

    __slots__ = ("_options",)

    def __init__(self, options: bytes) -> None:
        self._options = options

    def value(self) -> Any:
        options = decode_options(self._options)
        if options.missing is not None:
            raise ResultUnavailable(f"ctx.previous: job {options.after} is done; its result was not kept: {options.missing}")
        return msgspec.json.decode(options.previous) if options.previous else None


def context_of(scope: Scope) -> Context[object]:
    delivery = scope.delivery
    options = delivery.options
    return Context(
        scope.state,
        job_id=delivery.job_id,
        job_ids=[row.job_id for row in delivery.rows] if delivery.rows else (),
        attempt=delivery.attempt,
        headers=delivery.headers,
        cancellation=scope.cancellation,
        previous=None if options is None else Previous(options),
        report=scope.report,
    )
