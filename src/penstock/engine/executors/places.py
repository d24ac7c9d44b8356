"""The places where the handlers of one worker run."""

from __future__ import annotations

import asyncio

from penstock.engine.duty import Duty
from penstock.engine.executors.process import Limits, Processes, check
from penstock.engine.executors.thread import Threads
from penstock.engine.running import Running
from penstock.engine.stacks import awaited, of_coroutine
from penstock.engine.table import Table


class Places:
    """The loop, which is everybody's; threads and child processes, which are this incarnation's.

    Raises ConfigurationError for tasks that have no place here.
    """

    def __init__(self, duty: Duty, table: Table) -> None:
        check(duty.program.routes, duty.program.nursery)
        options = duty.options
        self.threads = Threads(options.threads or options.concurrency, asyncio.get_running_loop())
        limits = Limits(options.most_children, options.child_jobs, options.child_idle)
        self.processes = Processes(duty.program.nursery, limits, table)

    def stands(self, running: Running) -> str:
        """Where the handler is: down the awaits of its task, then on its thread or in its process."""
        coroutine = running.task.get_coro() if running.task is not None else None
        return of_coroutine(coroutine) + self.threads.stack_of(awaited(coroutine)) + self.processes.whereabouts(running.delivery)

    async def close(self) -> None:
        """Threads are left to end, children are killed."""
        self.threads.close()
        await self.processes.close()
