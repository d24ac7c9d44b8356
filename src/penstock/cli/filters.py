"""Which jobs or dead letters a command is about."""

from __future__ import annotations

from collections.abc import Sequence

import click

from penstock.cli.tables import note
from penstock.cli.words import did_you_mean, not_called
from penstock.model.job import JobFilter
from penstock.ports.store import Store

_KEYS = ("queue", "task", "key", "contains")


def parse_where(pairs: Sequence[str]) -> JobFilter:
    """`task=shop.mail.send queue=mail`. Raises UsageError."""
    chosen: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not value or name not in _KEYS:
            raise click.UsageError(f"--where {pair!r}: write NAME=VALUE with a name of {', '.join(_KEYS)}{did_you_mean(name, _KEYS)}")
        if name in chosen:
            raise click.UsageError(f"--where names {name} twice; all conditions have to hold")
        chosen[name] = value
    return JobFilter(queue=chosen.get("queue"), task=chosen.get("task"), key=chosen.get("key"), contains=chosen.get("contains"))


async def hint_unknown(store: Store, where: JobFilter) -> None:
    """An empty answer may come from a slip: say so."""
    if where.queue is not None:
        queues = await known_queues(store)
        if where.queue not in queues:
            note(not_called("queue", where.queue, queues))
    if where.task is not None:
        tasks = await known_tasks(store)
        if where.task not in tasks:
            note(f"no live worker knows a task {where.task!r}{did_you_mean(where.task, tasks)}")


async def known_queues(store: Store) -> set[str]:
    served = {queue for worker in await store.inspect.workers() if not worker.dead for queue in worker.queues}
    return {queue.name for queue in await store.inspect.queues()} | served


async def known_tasks(store: Store) -> set[str]:
    return {task for worker in await store.inspect.workers() if not worker.dead for task in worker.tasks}
