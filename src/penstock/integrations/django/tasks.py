"""Django's own tasks (`django.tasks`, Django 6.0 and later), kept by Penstock and run by its workers.

    TASKS = {"default": {"BACKEND": "penstock.integrations.django.tasks.PenstockBackend", "QUEUES": ["default", "mail"]}}

`enqueue` inside `transaction.atomic()` commits or rolls back with it, where the app's store is that database; elsewhere the task is
kept when `enqueue` returns. A task is a Penstock task `django.<module>.<function>`, and for a queue other than `default`
`django.<module>.<function>:<queue>`: it is known by that name, and never imported because a message says so. OPTIONS may have
`retry`, a `penstock.Retry`; unless given, ten attempts.
"""

# Django 6.0 has it, Django 5.2 has not.
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.tasks.backends.base import BaseTaskBackend
from django.tasks.exceptions import InvalidTask, InvalidTaskBackend, TaskResultDoesNotExist
from django.tasks.signals import task_enqueued
from django.utils.json import normalize_json
from django.utils.timezone import is_naive, make_aware

from penstock.api.task import Task
from penstock.errors import ConfigurationError
from penstock.integrations.django.apps import application, installed
from penstock.integrations.django.calls import call_of
from penstock.integrations.django.results import fresh, known
from penstock.model.retry import Retry

_QUEUE = "default"
"""Of Django's, and what is the app's own default queue here. Others are shared under their names."""
_INSTEAD = "await aenqueue(…), or aget_result(…)"


class PenstockBackend(BaseTaskBackend):  # type: ignore[misc]
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, params)
        if not self.queues:
            raise InvalidTaskBackend(f"TASKS[{alias!r}]: QUEUES has to name the queues, so that workers know which to take")
        unknown = sorted(set(self.options) - {"retry"})
        self._retry = self.options.get("retry")
        if unknown or not (self._retry is None or isinstance(self._retry, Retry)):
            raise InvalidTaskBackend(f"TASKS[{alias!r}]: OPTIONS may have 'retry', a penstock.Retry; not {unknown or self._retry!r}")

    def validate_task(self, task: Any) -> None:
        """And make it known to the worker: Django asks this of each task when it is declared."""
        super().validate_task(task)
        try:
            for queue in sorted(self.queues):
                self._declare(task, queue)
        except ConfigurationError as error:
            raise InvalidTask(str(error)) from error

    def enqueue(self, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """In the transaction that is open here on the store's database, if there is one. Raises TypeError for what is not JSON."""
        self.validate_task(task)
        result = fresh(task, self.alias, normalize_json(list(args)), normalize_json(dict(kwargs)))
        declared: Task[[list[Any], dict[str, Any]], Any] = installed().tasks.declared[self._name(task, task.queue_name)].task
        chosen = declared.using(priority=priority_of(task.priority), at=_instant(task.run_after))
        if (wrapper := self._in_a_transaction()) is not None:
            chosen = chosen.using(tx=wrapper)
        job = chosen.sync.enqueue(result.args, result.kwargs)
        object.__setattr__(result, "id", job.id)
        task_enqueued.send(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> Any:
        """As far as it is committed. `task` is the task as it was declared. Raises TaskResultDoesNotExist."""
        attachment = application().attachment()
        view = attachment.link.call(lambda store: store.inspect.job(str(result_id)), _INSTEAD)
        declared = None if view is None else installed().tasks.declared.get(view.task.removeprefix(f"{attachment.app()}."))
        if view is None or declared is None or declared.origin.backend != self.alias:
            raise TaskResultDoesNotExist(str(result_id))
        return known(declared.origin, self.alias, view)

    def check(self, **kwargs: Any) -> list[Any]:
        """Of `manage.py check`."""
        try:
            application()
        except ImproperlyConfigured as error:
            return [checks.Error(f"TASKS[{self.alias!r}]: {error}", id="penstock.E001")]
        return []

    def _declare(self, task: Any, queue: str) -> None:
        name = self._name(task, queue)
        tasks = installed().tasks
        if name not in tasks.declared:
            declare = tasks.router.task(name=name, queue=None if queue == _QUEUE else queue, retry=self._retry)
            tasks.add(name, task, declare(call_of(type(self), task, self._retry or Retry())))

    def _name(self, task: Any, queue: str) -> str:
        prefix = "django" if self.alias == "default" else f"django:{self.alias}"
        return f"{prefix}.{task.module_path}" + ("" if queue == _QUEUE else f":{queue}")

    def _in_a_transaction(self) -> object | None:
        """The connection of this thread to the store's database, if a transaction is open on it."""
        alias = installed().database
        wrapper = None if alias is None else connections[alias]
        return wrapper if wrapper is not None and wrapper.connection is not None and not wrapper.get_autocommit() else None


def priority_of(priority: int) -> int:
    """From -100..100 to 0..9. 0, which everything has unless it says otherwise, is 4, which is the same here."""
    return (priority + 100) * 9 // 200


def _instant(moment: datetime | None) -> datetime | None:
    return make_aware(moment) if moment is not None and not settings.USE_TZ and is_naive(moment) else moment
