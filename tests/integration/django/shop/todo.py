"""Tasks of `django.tasks` (Django 6.0 and later)."""

# Django 6.0 has it, Django 5.2 has not.
# pyright: reportMissingImports=false

from __future__ import annotations

from typing import Any

from django.tasks import TaskContext, task

from penstock import Snooze

from .models import Order
from .tasks import note

seen: list[object] = []


@task
def add(a: int, b: int = 1) -> int:
    return a + b


@task(priority=50, queue_name="mail")
async def ship(sku: str) -> str:
    await Order.objects.acreate(sku=sku)
    return f"{sku} is on its way"


@task(takes_context=True)
def twice(context: TaskContext, what: Any) -> list[Any]:
    note()
    if context.attempt == 1:
        raise LookupError(what)
    seen.append((context.attempt, context.task_result.id, context.task_result.args))
    return [what, what]


@task
def fail(how: str) -> None:
    raise Refused(how)


@task
def pause() -> None:
    raise Snooze(60)


@task
def odd() -> object:
    return object()


class Refused(Exception):
    pass
