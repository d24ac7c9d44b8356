"""Reading what is there, on a connection of its own, so that looking never waits for writers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from penstock.model.clock import Clock
from penstock.model.job import Attempt, DeadLetterView, JobFilter, JobList, JobView, QueueView, UniqueView, WorkerView
from penstock.model.log import Holder, Recorded, SubscriptionView, TopicView
from penstock.model.message import decode_options
from penstock.model.unique import Hold
from penstock.ports.inspect import DEPTH
from penstock.stores.sql.dialect import Dialect
from penstock.stores.sql.limits import read_rules
from penstock.stores.sql.listing import ALL, Page, known_tasks, letters, list_jobs, matching_letters
from penstock.stores.sql.moments import next_moment
from penstock.stores.sql.roads import Reading
from penstock.stores.sql.views import attempt_of, job_of, letter_of, queue_of, subscription_of, topic_of, worker_of


def _unknown(incarnation: int) -> bool:
    return False


class SqlInspect:
    """Implements `ports.inspect.Inspect`."""

    def __init__(self, reader: Reading, clock: Clock, dialect: Dialect, died: Callable[[int], bool] = _unknown) -> None:
        """`died`: whether a worker has, for certain."""
        self._reader = reader
        self._clock = clock
        self._dialect = dialect
        self._died = died

    async def job(self, job_id: str) -> JobView | None:
        rows = await self._reader.rows("job", {"id": job_id})
        if not rows:
            return None
        known = await self._reader.drive(known_tasks())
        job = job_of(rows[0], known, await self._history(rows[0][0]))
        hold = decode_options(rows[0][-1]).unique
        return job if hold is None else replace(job, unique=await self._holding(hold))

    async def jobs(self, where: JobFilter, *, limit: int, before: int | None = None, depth: int = DEPTH) -> JobList:
        if where.ids is not None:
            found = [await self.job(job_id) for job_id in where.ids[:limit]]
            return JobList([job for job in found if job is not None])
        return await self._reader.drive(list_jobs(where, Page(limit, ALL if before is None else before, depth)))

    async def next_due(self, after: int) -> int | None:
        return await self._reader.drive(next_moment(after))

    async def letter(self, job_id: str) -> DeadLetterView | None:
        rows = await self._reader.rows("find_message", {"id": job_id})
        found = await self._reader.drive(letters([row[0] for row in rows]))
        return letter_of(found[0], await self._history(rows[0][0])) if found else None

    async def letters(self, where: JobFilter, *, limit: int) -> Sequence[DeadLetterView]:
        seqs = await self._reader.drive(matching_letters(where, limit))
        return [letter_of(row, ()) for row in await self._reader.drive(letters(seqs))]

    async def count_letters(self, where: JobFilter) -> int:
        return len(await self._reader.drive(matching_letters(where, ALL)))

    async def queues(self) -> Sequence[QueueView]:
        rules = await self._reader.drive(read_rules())
        counted = {row[0]: row for row in await self._reader.rows("queues", {})}
        empty = (0,) * 8 + (None,)
        rows = [counted.get(name, (name, *empty)) for name in sorted(counted.keys() | rules.queues)]
        return [queue_of(row, rules) for row in rows]

    async def workers(self) -> Sequence[WorkerView]:
        return [worker_of(row, self._died) for row in await self._reader.rows("workers", {})]

    async def topics(self) -> Sequence[TopicView]:
        return [topic_of(row) for row in await self._reader.rows("topics", {})]

    async def newest(self, topic: str, limit: int) -> Sequence[Recorded]:
        return [Recorded(*row) for row in await self._reader.rows("newest_events", {"topic": topic, "limit": limit})][::-1]

    async def held_back(self) -> Holder | None:
        return await self._reader.drive(self._dialect.who_holds())

    async def position_at(self, topic: str, moment: int) -> int:
        return await self._reader.drive(self._dialect.position_at(topic, moment))

    async def subscriptions(self) -> Sequence[SubscriptionView]:
        return [subscription_of(row) for row in await self._reader.rows("subscriptions", {})]

    async def _holding(self, hold: Hold) -> UniqueView:
        rows = await self._reader.rows("who_holds", {"name": hold.name, "now": self._clock.now()})
        return UniqueView(hold.own_name, hold.until, rows[0][0] if rows else None)

    async def _history(self, seq: int) -> tuple[Attempt, ...]:
        return tuple(attempt_of(row) for row in await self._reader.rows("attempts", {"seq": seq}))
