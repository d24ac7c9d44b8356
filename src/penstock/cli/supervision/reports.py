"""What a worker's log tells of."""

from __future__ import annotations

import asyncio
import logging

from penstock.engine.stacks import of_coroutine
from penstock.model.delivery import Delivery
from penstock.model.events import Event, JobStuck, LoopBlocked, Trouble, WorkerRescued, WorkerStarted, WorkerStopped

_log = logging.getLogger("penstock.worker")


def log_event(event: Event) -> None:
    match event:
        case WorkerStarted(incarnation, queues):
            _log.info("worker %016x takes %s", incarnation, ", ".join(queues))
        case WorkerStopped(_, released):
            _log.info("stopped; %d jobs released", released)
        case WorkerRescued(incarnation, released, dead):
            _log.warning("worker %016x is dead: %d of its jobs run again, %d became dead letters", incarnation, released, dead)
        case LoopBlocked(seconds, stack):
            _log.error("the event loop has been blocked for %.0f s by:\n%s", seconds, stack)
        case JobStuck(job_id, task, worker, seconds, stack):
            fields = {"job_id": job_id, "task": task}
            _log.warning("job %s (%s) has been running for %.0f s on %s; it is at:\n%s", job_id, task, seconds, worker, stack, extra=fields)
        case Trouble(where, error):
            _log.error("%s: %s: %s", where, type(error).__name__, error, exc_info=error)


def log_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """What each task waits for: the stacks of the threads do not say."""
    waits = [f"{task.get_name()}\n{of_coroutine(task.get_coro())}" for task in asyncio.all_tasks(loop)]
    _log.warning("tasks of the event loop:\n%s", "".join(waits))


def log_failure(delivery: Delivery, error: Exception) -> None:
    """Arguments are not logged."""
    fields = {"job_id": delivery.job_id, "task": delivery.task, "queue": delivery.queue, "attempt": delivery.attempt}
    _log.warning(
        "job %s (%s), attempt %d: %s: %s", *tuple(fields.values())[:2], delivery.attempt, type(error).__name__, error, extra=fields
    )
