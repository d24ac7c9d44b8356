"""Which jobs or dead letters a filter means, without reading all that there are.

A state begins at its own table: what waits, is delayed or runs is listed there, the newest first. What has ended, and jobs in
any state, are walked through from the newest, some at a time. Either way no more than `depth` are looked at, and the answer
says if it ended there: no index knows tasks, keys or bodies, since each would have to be written with every job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from penstock.model.job import JobFilter, JobList, JobView, Status
from penstock.model.statement import Program, Rows, Statement
from penstock.stores.sql.views import job_of

ALL = 1 << 62
_CHUNK = 500
_LAST_NAME = chr(0x10FFFF)

_LISTED: Mapping[Status | None, str] = {
    "waiting": "seqs_waiting",
    "unroutable": "seqs_waiting",
    "delayed": "seqs_later",
    "retrying": "seqs_later",
    "running": "seqs_running",
}
_WALKED: Mapping[Status | None, str] = {
    None: "newest_messages",
    "dead": "newest_dead",
    "done": "newest_finished",
    "cancelled": "newest_finished",
    "expired": "newest_finished",
}


class Page(Struct, frozen=True):
    """So many matches, older than the seq `before`; so many jobs to look at."""

    limit: int
    before: int
    depth: int


def list_jobs(where: JobFilter, page: Page) -> Program[JobList]:
    known = yield from known_tasks()
    candidates = _Listed(where, page) if where.status in _LISTED else _Walked(where, page)
    params = _conditions(where, known)
    found: list[JobView] = []
    looked = 0
    while True:
        seqs = yield from candidates.next(min(_CHUNK, page.depth - looked) or 1)
        if not seqs or looked == page.depth:
            return JobList(found, looked if seqs else None)
        rows = yield Statement("jobs", {**params, "seqs": str(seqs), "limit": page.limit - len(found)})
        jobs = [job_of(row, known, ()) for row in rows]
        found += [job for job in jobs if where.status in (None, job.status)]
        looked += len(seqs)
        if len(found) >= page.limit:
            return JobList(found)


def known_tasks() -> Program[frozenset[str]]:
    """Those that a live worker knows."""
    rows = yield Statement("worker_tasks")
    return frozenset(task for row in rows for task in msgspec.json.decode(row[0], type=list[str]))


def matching_letters(where: JobFilter, limit: int) -> Program[list[int]]:
    """The oldest death first."""
    ids = None if where.ids is None else _json(where.ids)
    rows = yield Statement("seqs_letters", {**_fields(where), "ids": ids, "limit": limit})
    return [row[0] for row in rows]


def letters(seqs: Sequence[int]) -> Program[Rows]:
    return (yield Statement("letters", {"seqs": str(list(seqs))}))


class _Walked:
    """From the newest down, some at a time."""

    def __init__(self, where: JobFilter, page: Page) -> None:
        self._statement = _WALKED[where.status]
        self._before = page.before

    def next(self, count: int) -> Program[list[int]]:
        seqs = [row[0] for row in (yield Statement(self._statement, {"before": self._before, "limit": count}))]
        self._before = seqs[-1] if seqs else self._before
        return seqs


class _Listed:
    """All at once, as far as `depth` allows: these tables are small, or ordered by something else."""

    def __init__(self, where: JobFilter, page: Page) -> None:
        self._statement = _LISTED[where.status]
        self._page = page
        self._queues = {"first": where.queue or "", "last": where.queue or _LAST_NAME}
        self._rising: list[int] | None = None

    def next(self, count: int) -> Program[list[int]]:
        if self._rising is None:
            self._rising = yield from self._load()
        newest = self._rising[: -count - 1 : -1]
        del self._rising[-count:]
        return newest

    def _load(self) -> Program[list[int]]:
        rows = yield Statement(self._statement, {**self._queues, "before": self._page.before, "limit": self._page.depth + 1})
        return sorted(row[0] for row in rows)


def _conditions(where: JobFilter, known: frozenset[str]) -> dict[str, Any]:
    status = where.status
    return {
        **_fields(where),
        "outcome": status if _WALKED.get(status) == "newest_finished" else None,
        "failed": {"delayed": False, "retrying": True}.get(status or ""),
        "known": _json(sorted(known)) if status in ("waiting", "unroutable") else None,
        "routable": status == "waiting",
    }


def _fields(where: JobFilter) -> dict[str, Any]:
    return {"queue": where.queue, "task": where.task, "key": where.key, "contains": where.contains}


def _json(names: Sequence[str]) -> str:
    return msgspec.json.encode(names).decode()
