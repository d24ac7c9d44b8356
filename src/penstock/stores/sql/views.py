"""Rows as the views that operators are shown."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from penstock.model.chain import successor_of
from penstock.model.job import Attempt, DeadLetterView, JobView, Progress, QueueView, Status, UniqueView, WorkerView
from penstock.model.log import SubscriptionView, TopicView
from penstock.model.message import decode_options
from penstock.model.outcome import Failure
from penstock.model.statement import Row
from penstock.stores.sql.limits import Rules


def job_of(row: Row, known: frozenset[str], history: tuple[Attempt, ...]) -> JobView:
    (seq, job_id, queue, task, rank, key, due, expires, enqueued, failures, deaths, headers, body, *rest) = row
    outcome, ended, attempt, owner, result, note, died, _, holder, claimed, worker, cancel, later, kind, *more = rest
    fraction, words, told, raw = more
    options = decode_options(raw)
    successor = successor_of(options)
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
        progress=None if fraction is None else Progress(fraction, words, told),
        unique=None if options.unique is None else UniqueView(options.unique.own_name, options.unique.until),
        previous=options.after,
        next=None if successor is None else successor.id,
        history=history,
        type=kind,
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


def attempt_of(row: Row) -> Attempt:
    number, what, at, worker, *error = row
    return Attempt(number, what, at, worker, failure_of(*error))


def letter_of(row: Row, history: tuple[Attempt, ...]) -> DeadLetterView:
    job_id, queue, task, reason, died, attempts, deaths, key, body, headers, kind, *error = row
    return DeadLetterView(job_id, queue, task, reason, died, attempts, deaths, key, body, headers, failure_of(*error), history, kind)


def failure_of(kind: str | None, message: str | None, trace: str | None) -> Failure | None:
    return Failure(kind, message or "", trace or "") if kind is not None else None


def queue_of(row: Row, rules: Rules) -> QueueView:
    name, waiting, delayed, running, dead, done, failed, cancelled, expired, oldest = row
    limits = [rules.value(name, what) for what in ("max_waiting", "concurrency", "rate")]
    return QueueView(name, name in rules.paused, waiting, delayed, running, dead, done, failed, cancelled, expired, oldest, *limits)


def worker_of(row: Row, died: Callable[[int], bool]) -> WorkerView:
    incarnation, name, app, pid, host, started, beat, queues, tasks, running, blocked = row
    known, served = (msgspec.json.decode(text, type=tuple[str, ...]) for text in (tasks, queues))
    stack = None if blocked is None else msgspec.json.decode(blocked, type=str)
    return WorkerView(incarnation, name, app, pid, host, started, beat, running, served, known, stack, died(incarnation))


def topic_of(row: Row) -> TopicView:
    name, versioned, first, head, retention, retention_max, events, newest = row
    return TopicView(name, bool(versioned), first, head, retention, retention_max, events, newest)


def subscription_of(row: Row) -> SubscriptionView:
    name, topic, app, types, hold, cursor, head, generation, behind, oldest, missed = row
    wanted = None if types is None else msgspec.json.decode(types, type=tuple[str, ...])
    return SubscriptionView(name, topic, app, wanted, bool(hold), cursor, head, generation, behind, oldest, missed)
