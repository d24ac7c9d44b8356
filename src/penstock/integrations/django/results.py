"""Jobs as results of `django.tasks`."""

# Django 6.0 has it, Django 5.2 has not.
# pyright: reportMissingImports=false

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from django.conf import settings
from django.tasks.base import TaskError, TaskResult, TaskResultStatus
from django.utils.timezone import make_naive

from penstock.model.clock import WallClock, to_datetime
from penstock.model.job import JobView, Status
from penstock.model.outcome import Failure

STATUSES: Mapping[Status, Any] = {
    "waiting": TaskResultStatus.READY,
    "delayed": TaskResultStatus.READY,
    "retrying": TaskResultStatus.READY,
    "unroutable": TaskResultStatus.READY,
    "running": TaskResultStatus.RUNNING,
    "done": TaskResultStatus.SUCCESSFUL,
    "dead": TaskResultStatus.FAILED,
    "cancelled": TaskResultStatus.FAILED,
    "expired": TaskResultStatus.FAILED,
}
_RAN = frozenset({"failed", "died", "dead"})


def fresh(task: Any, backend: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Of a task that is enqueued now."""
    return TaskResult(
        task=task,
        id="",
        status=TaskResultStatus.READY,
        enqueued_at=now(),
        started_at=None,
        finished_at=None,
        last_attempted_at=None,
        args=args,
        kwargs=kwargs,
        backend=backend,
        errors=[],
        worker_ids=[],
    )


def known(task: Any, backend: str, view: JobView) -> Any:
    """Of a job that is in the store."""
    body = msgspec.json.decode(view.body)
    runs = [attempt for attempt in view.history if attempt.what in _RAN]
    workers = [attempt.worker or "" for attempt in runs]
    result = TaskResult(
        task=task,
        id=view.id,
        status=STATUSES[view.status],
        enqueued_at=_moment(view.enqueued),
        started_at=_moment(view.started),
        finished_at=_moment(view.ended),
        last_attempted_at=_moment(view.started),
        args=body["args"],
        kwargs=body["kwargs"],
        backend=backend,
        errors=[_error(attempt.error) for attempt in runs if attempt.error is not None],
        worker_ids=[*workers, view.worker or ""] if view.status in ("running", "done") else workers,
    )
    if view.result is not None:
        object.__setattr__(result, "_return_value", msgspec.json.decode(view.result))
    return result


def now() -> datetime:
    """As Django's clocks go."""
    moment = to_datetime(WallClock().now())
    return moment if settings.USE_TZ else make_naive(moment)


def _moment(micros: int | None) -> datetime | None:
    if micros is None:
        return None
    moment = to_datetime(micros)
    return moment if settings.USE_TZ else make_naive(moment)


def _error(failure: Failure) -> Any:
    return TaskError(exception_class_path=path_of(failure), traceback=failure.traceback)


def path_of(failure: Failure) -> str:
    """What is kept of an error is its type's name; the last line of its traceback has the module, unless it is a builtin."""
    told = re.findall(rf"^((?:\w+\.)+{re.escape(failure.type)})(?::|$)", failure.traceback, re.MULTILINE)
    return str(told[-1]) if told else f"builtins.{failure.type}"
