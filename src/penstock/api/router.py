"""Declares tasks and what else there is. Knows no store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, cast

from penstock.api.batchrouter import BatchRouter
from penstock.api.decorator import TaskDecorator
from penstock.api.definition import Definition
from penstock.api.fitting import checked_retry, isolation_of, locals_of, memory_of, name_of, timeout_of
from penstock.api.options import Using, named
from penstock.api.schedulerouter import ScheduleRouter
from penstock.api.signature import read
from penstock.api.task import Task
from penstock.model.clock import Duration
from penstock.model.retry import Retry


class Router(BatchRouter, ScheduleRouter):
    """A set of tasks that is declared apart from the app, so that modules need not import it.

    mail = Router()

    @mail.task()
    async def send_welcome_email(user_id: int, address: str) -> None: ...

    app.include(mail, prefix="mail")                # the task is now `<app>.mail.send_welcome_email`
    """

    def include(self, router: Router, *, prefix: str = "") -> None:
        """Take over what `router` declares, also later: tasks, topics, subscriptions, schedules. Once for each router; they may nest.

        Raises ConfigurationError for a name that exists already, naming both places, and for a router included before.
        """
        self._include(router, prefix)

    def task(
        self,
        *,
        name: str | None = None,
        aliases: Sequence[str] = (),
        queue: str | None = None,
        isolation: Literal["loop", "thread", "process"] | None = None,
        retry: Retry | None = None,
        timeout: Duration | None = None,
        memory: str | None = None,
    ) -> TaskDecorator:
        """Declare a task. Its name in the store is `<app>.<prefix>.<function>`, never the module's.

        `name` is instead of `<prefix>.<function>`, whole: give it to move the function; `aliases`: older such names whose jobs
        are still to be run. `queue`: shared under exactly this name with every other app that names it; unless given, the
        app's own, `<app>.default`. `isolation`: `loop` for `async def`, `thread` for `def`, unless given; `process`: either in a
        child process, that is killed at its timeout and whose crash is a failed attempt of its job only. `memory`: what that
        child may use, e.g. "512MB" (kB, MB, GB, MiB or GiB); above it, it is killed. `retry`: 10 attempts, 1 s doubling to 1 h with
        full jitter, unless given. `timeout`: 10 minutes for coroutines and processes unless given (math.inf: none).
        A new parameter of a task that is in use needs a default.

        Raises ConfigurationError, naming file and line: for `*args`, `**kwargs` and positional-only parameters, injected
        parameters that do not come first in the order ctx, tx, `tx` in a process, and duplicate names.
        """
        policy = checked_retry("task", retry)

        facts = partial(self._define, name=name, aliases=tuple(aliases), queue=queue, retry=policy)
        return cast(TaskDecorator, partial(facts, isolation=isolation, memory=memory, timeout=timeout))

    def _define(
        self,
        function: Callable[..., Any],
        *,
        name: str | None,
        aliases: tuple[str, ...],
        queue: str | None,
        retry: Retry,
        isolation: str | None,
        memory: str | None,
        timeout: Duration | None,
    ) -> Task[..., Any]:
        signature = read(function, name or name_of(function), locals_of(function))
        where = isolation_of(signature, isolation)
        definition = Definition(
            self,
            signature,
            name=name,
            aliases=aliases,
            queue=None if queue is None else named(f"{signature.place}: task(queue=…)", queue),
            isolation=where,
            memory=memory_of(signature, where, memory),
            retry=retry,
            timeout=timeout_of(signature, where, timeout),
        )
        self._declare(definition)
        return Task(definition, Using())
