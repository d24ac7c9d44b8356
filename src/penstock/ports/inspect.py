"""Looking: never locks out writers, never scans to count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from penstock.model.job import DeadLetterView, JobFilter, JobView, QueueView, WorkerView


class Inspect(Protocol):
    async def job(self, job_id: str) -> JobView | None: ...

    async def jobs(self, where: JobFilter, *, limit: int, before: int | None = None) -> Sequence[JobView]:
        """Newest first, without their histories. `before`: the `seq` of the last one seen, to page on."""
        ...

    async def letter(self, job_id: str) -> DeadLetterView | None: ...

    async def letters(self, where: JobFilter, *, limit: int) -> Sequence[DeadLetterView]:
        """Oldest death first, without their histories."""
        ...

    async def count_letters(self, where: JobFilter) -> int: ...

    async def queues(self) -> Sequence[QueueView]: ...

    async def workers(self) -> Sequence[WorkerView]: ...


class Settings(Protocol):
    """What an operator set. It wins over the code, and code never overwrites it."""

    async def write(self, scope: str, name: str, value: str | None, by: str) -> None:
        """`scope`: e.g. `queue:mail`. `value`: JSON; None removes it. Rings every worker."""
        ...

    async def paused(self) -> frozenset[str]:
        """The queues that are paused."""
        ...
