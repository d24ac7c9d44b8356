"""Tasks of `django.tasks` as handlers."""

# Django 6.0 has it, Django 5.2 has not.
# pyright: reportMissingImports=false

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from inspect import iscoroutinefunction
from traceback import format_exception
from typing import Any

from django.tasks.base import TaskContext, TaskError, TaskResultStatus
from django.tasks.signals import task_finished, task_started
from django.utils.json import normalize_json

from penstock.api.context import Context
from penstock.integrations.django.results import fresh, now
from penstock.model.retry import Reject, Retry, Snooze


def call_of(sender: type, task: Any, retry: Retry) -> Callable[..., Any]:
    """A handler that calls the task's function, on a thread or on the event loop, and sends Django's signals."""

    def on_a_thread(ctx: Context, args: list[Any], kwargs: dict[str, Any]) -> Any:
        with Run(sender, task, retry, ctx, args, kwargs) as run:
            return run.returned(task.func(*run.given, **kwargs))

    async def on_the_loop(ctx: Context, args: list[Any], kwargs: dict[str, Any]) -> Any:
        with Run(sender, task, retry, ctx, args, kwargs) as run:
            return run.returned(await task.func(*run.given, **kwargs))

    return on_the_loop if iscoroutinefunction(task.func) else on_a_thread


class Run:
    """One attempt. Its result is shown to the function, if it takes the context, and to who listens to the signals."""

    def __init__(self, sender: type, task: Any, retry: Retry, ctx: Context, args: list[Any], kwargs: dict[str, Any]) -> None:
        self._sender = sender
        self._last = ctx.attempt >= retry.attempts
        self._give_up = retry.give_up
        self._result = fresh(task, task.backend, args, kwargs)
        self._tell(id=ctx.job_id, status=TaskResultStatus.RUNNING, started_at=now(), last_attempted_at=now())
        self._result.worker_ids.extend([""] * (ctx.attempt - 1) + [f"{socket.gethostname()}:{os.getpid()}"])
        self.given = [TaskContext(task_result=self._result), *args] if task.takes_context else args

    def __enter__(self) -> Run:
        task_started.send(self._sender, task_result=self._result)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """`task_finished` is sent of the attempt that ends the task."""
        if error is None:
            self._end(TaskResultStatus.SUCCESSFUL)
        elif isinstance(error, (Reject, *self._give_up)) or (self._last and isinstance(error, Exception) and not isinstance(error, Snooze)):
            path = f"{type(error).__module__}.{type(error).__qualname__}"
            self._result.errors.append(TaskError(exception_class_path=path, traceback="".join(format_exception(error))))
            self._end(TaskResultStatus.FAILED)

    def returned(self, value: object) -> object:
        """As JSON values. What is none is a dead letter at once: another run would return the same."""
        try:
            self._tell(_return_value=normalize_json(value))
        except TypeError as error:
            raise Reject(f"it returned what is not JSON: {error}") from error
        return self._result._return_value

    def _end(self, status: Any) -> None:
        self._tell(status=status, finished_at=now())
        task_finished.send(self._sender, task_result=self._result)

    def _tell(self, **facts: object) -> None:
        for name, value in facts.items():
            object.__setattr__(self._result, name, value)
