"""Jobs and dead letters as JSON."""

from __future__ import annotations

from typing import Any

from penstock.cli.words import iso, value
from penstock.model.job import Attempt, DeadLetterView, JobView, Progress
from penstock.model.outcome import Failure


def job_facts(job: JobView) -> dict[str, Any]:
    times = {name: iso(at) for name, at in (("enqueued", job.enqueued), ("due", job.due), ("started", job.started), ("ended", job.ended))}
    return {
        "id": job.id,
        "status": job.status,
        "task": job.task,
        "queue": job.queue,
        "key": job.key,
        "priority": job.priority,
        "attempt": job.attempt,
        "worker_deaths": job.deaths,
        **times,
        "expires": iso(job.expires),
        "worker": job.worker,
        "cancel_requested": job.cancel_requested,
        "progress": _progress(job.progress),
        "unique": None if job.unique is None else {"name": job.unique.name, "until": job.unique.until, "holder": job.unique.holder},
        "previous": job.previous,
        "next": job.next,
        "arguments": value(job.body),
        "headers": value(job.headers),
    }


def ended_facts(job: JobView) -> dict[str, Any]:
    """What is worth saying of one job alone."""
    return {"result": value(job.result), "result_unavailable": job.unavailable, "history": [_attempt(each) for each in job.history]}


def letter_facts(letter: DeadLetterView) -> dict[str, Any]:
    return {
        "id": letter.id,
        "task": letter.task,
        "queue": letter.queue,
        "key": letter.key,
        "reason": letter.reason,
        "died": iso(letter.died),
        "attempts": letter.attempts,
        "worker_deaths": letter.deaths,
        "error": _failure(letter.error),
        "arguments": value(letter.body),
        "headers": value(letter.headers),
    }


def letter_history(letter: DeadLetterView) -> dict[str, Any]:
    return {"history": [_attempt(each) for each in letter.history]}


def _progress(progress: Progress | None) -> dict[str, Any] | None:
    return None if progress is None else {"fraction": progress.fraction, "note": progress.note, "at": iso(progress.told)}


def _attempt(each: Attempt) -> dict[str, Any]:
    return {"attempt": each.number, "what": each.what, "at": iso(each.at), "worker": each.worker, "error": _failure(each.error)}


def _failure(error: Failure | None) -> dict[str, str] | None:
    return None if error is None else {"type": error.type, "message": error.message, "traceback": error.traceback}
