"""Looking: never locks out writers, never scans to count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from penstock.model.job import DeadLetterView, JobFilter, JobList, JobView, QueueView, WorkerView
from penstock.model.log import Holder, Recorded, SubscriptionView, TopicView

DEPTH = 100_000
"""Jobs that a look for some of them goes through."""


class Inspect(Protocol):
    async def job(self, job_id: str) -> JobView | None: ...

    async def jobs(self, where: JobFilter, *, limit: int, before: int | None = None, depth: int = DEPTH) -> JobList:
        """Newest first, without their histories. `before`: the `seq` of the last one seen, to page on.

        Looks at no more than `depth` jobs: the newest, of those in the state that is asked for; of the delayed and the
        retrying, those that are due soonest. The answer says if that was the end of it.
        """
        ...

    async def next_due(self, after: int) -> int | None:
        """When the next thing after `after` (µs) is due: a delay, a retry, the start that a rate keeps back now. None: nothing is.

        As far as can be known: the end of a job, or an operator, may let something start before.
        """
        ...

    async def letter(self, job_id: str) -> DeadLetterView | None: ...

    async def letters(self, where: JobFilter, *, limit: int) -> Sequence[DeadLetterView]:
        """Oldest death first, without their histories."""
        ...

    async def count_letters(self, where: JobFilter) -> int: ...

    async def queues(self) -> Sequence[QueueView]: ...

    async def topics(self) -> Sequence[TopicView]: ...

    async def newest(self, topic: str, limit: int) -> Sequence[Recorded]:
        """The last events of it, in their order. Also those that a feed may not read yet, since others may commit before them."""
        ...

    async def subscriptions(self) -> Sequence[SubscriptionView]: ...

    async def held_back(self) -> Holder | None:
        """Who holds the feeds back the most now. None: nobody does."""
        ...

    async def position_at(self, topic: str, moment: int) -> int:
        """The position behind which the events published at `moment` (µs) or later lie. Raises NotFound."""
        ...

    async def workers(self) -> Sequence[WorkerView]: ...


class QueueRules(Struct, frozen=True):
    """Queues by what holds them back."""

    paused: frozenset[str]
    limited: frozenset[str]
    """They have a concurrency or a rate, by an operator or by the code."""


class Settings(Protocol):
    """What an operator set. It wins over the code, and code never overwrites it."""

    async def write(self, scope: str, name: str, value: str | None, by: str) -> None:
        """`scope`: e.g. `queue:mail`, which has `paused`, `concurrency`, `rate` and `max_waiting`. `value`: JSON; None removes it.
        Rings every worker."""
        ...

    async def rules(self) -> QueueRules:
        """One look at those of all queues."""
        ...
