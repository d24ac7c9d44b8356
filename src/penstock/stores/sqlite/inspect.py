"""Reading what is there, on a connection of its own, so that looking never waits for writers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from penstock.model.job import Attempt, DeadLetterView, JobFilter, JobView, QueueView, Status, WorkerView
from penstock.model.outcome import Failure
from penstock.model.statement import Row
from penstock.stores.sqlite.reader import Reader

_OUTCOMES = frozenset({"done", "cancelled", "expired"})
_ALL = 1 << 62


class SqliteInspect:
    """Implements `ports.inspect.Inspect`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def job(self, job_id: str) -> JobView | None:
        rows = await self._reader.rows("job", {"id": job_id})
        if not rows:
            return None
        known = await self._known_tasks()
        return _job(rows[0], known, await self._history(rows[0][0]))

    async def jobs(self, where: JobFilter, *, limit: int, before: int | None = None) -> Sequence[JobView]:
        status = where.status
        if where.ids is not None:
            found = [await self.job(job_id) for job_id in where.ids[:limit]]
            return [job for job in found if job is not None]
        params = {**_filter(where), "before": _ALL if before is None else before, "limit": limit}
        params["outcome"] = status if status in _OUTCOMES else None
        params["place"] = None if status is None or status in _OUTCOMES else ("waiting" if status == "unroutable" else status)
        del params["ids"]
        known = await self._known_tasks()
        params["known"] = msgspec.json.encode(sorted(known)).decode() if status in ("waiting", "unroutable") else None
        params["routable"] = status == "waiting"
        jobs = [_job(row, known, ()) for row in await self._reader.rows("jobs", params)]
        return [job for job in jobs if status is None or job.status == status]

    async def letter(self, job_id: str) -> DeadLetterView | None:
        rows = await self._reader.rows("letter", {"id": job_id})
        return _letter(rows[0], await self._history(rows[0][-1])) if rows else None

    async def letters(self, where: JobFilter, *, limit: int) -> Sequence[DeadLetterView]:
        rows = await self._reader.rows("letters", {**_filter(where), "limit": limit})
        return [_letter(row, ()) for row in rows]

    async def count_letters(self, where: JobFilter) -> int:
        return int((await self._reader.rows("count_letters", _filter(where)))[0][0])

    async def queues(self) -> Sequence[QueueView]:
        settings: dict[tuple[str, str], Any] = {}
        for scope, name, value in await self._reader.rows("all_settings", {}):
            settings[scope, name] = msgspec.json.decode(value)
        counted = {row[0]: row for row in await self._reader.rows("queues", {})}
        named = {scope.removeprefix("queue:") for scope, _ in settings if scope.startswith("queue:")}
        empty = (0,) * 8 + (None,)
        rows = [counted.get(name, (name, *empty)) for name in sorted(counted.keys() | named)]
        return [_queue(row, settings) for row in rows]

    async def workers(self) -> Sequence[WorkerView]:
        return [_worker(row) for row in await self._reader.rows("workers", {})]

    async def _history(self, seq: int) -> tuple[Attempt, ...]:
        rows = await self._reader.rows("attempts", {"seq": seq})
        return tuple(Attempt(number, what, at, worker, _failure(*error)) for number, what, at, worker, *error in rows)

    async def _known_tasks(self) -> frozenset[str]:
        rows = await self._reader.rows("worker_tasks", {})
        return frozenset(task for row in rows for task in msgspec.json.decode(row[0], type=list[str]))


def _filter(where: JobFilter) -> dict[str, Any]:
    ids = msgspec.json.encode(where.ids).decode() if where.ids is not None else None
    return {"queue": where.queue, "task": where.task, "key": where.key, "contains": where.contains, "ids": ids}


def _job(row: Row, known: frozenset[str], history: tuple[Attempt, ...]) -> JobView:
    (seq, job_id, queue, task, rank, key, due, expires, enqueued, failures, deaths, headers, body, *rest) = row
    outcome, ended, attempt, owner, result, note, died, _, holder, claimed, worker, cancel, later = rest
    status = _status(outcome, died, holder, later, failures)
    if status == "waiting" and task not in known:
        status = "unroutable"
    if worker is None and (owner or holder):
        worker = f"{owner or holder:016x}"
    return JobView(
        id=job_id,
        seq=seq,
        queue=queue,
        task=task,
        status=status,
        priority=9 - rank,
        attempt=attempt if attempt is not None else failures + (holder is not None),
        deaths=deaths,
        enqueued=enqueued,
        key=key,
        due=due if later is not None else None,
        expires=expires,
        started=claimed,
        ended=ended if ended is not None else died,
        worker=worker,
        body=body,
        headers=headers,
        result=result,
        unavailable=note,
        cancel_requested=cancel is not None,
        history=history,
    )


def _status(outcome: Status | None, died: int | None, holder: int | None, later: int | None, failures: int) -> Status:
    if outcome is not None:
        return outcome
    if died is not None:
        return "dead"
    if holder is not None:
        return "running"
    if later is not None:
        return "retrying" if failures else "delayed"
    return "waiting"


def _letter(row: Row, history: tuple[Attempt, ...]) -> DeadLetterView:
    job_id, queue, task, reason, died, attempts, deaths, key, body, headers, *error, _ = row
    return DeadLetterView(job_id, queue, task, reason, died, attempts, deaths, key, body, headers, _failure(*error), history)


def _failure(kind: str | None, message: str | None, trace: str | None) -> Failure | None:
    return Failure(kind, message or "", trace or "") if kind is not None else None


def _queue(row: Row, settings: Mapping[tuple[str, str], Any]) -> QueueView:
    name, waiting, delayed, running, dead, done, failed, cancelled, expired, oldest = row
    scope = f"queue:{name}"
    paused = bool(settings.get((scope, "paused"), False))
    limit = settings.get((scope, "max_waiting"))
    return QueueView(name, paused, waiting, delayed, running, dead, done, failed, cancelled, expired, oldest, limit)


def _worker(row: Row) -> WorkerView:
    incarnation, name, app, pid, host, started, beat, queues, tasks, running = row
    known, served = (msgspec.json.decode(text, type=tuple[str, ...]) for text in (tasks, queues))
    return WorkerView(incarnation, name, app, pid, host, started, beat, running, served, known)
