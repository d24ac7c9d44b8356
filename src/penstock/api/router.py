"""Declares tasks and what else there is. Knows no store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

from penstock.api import place
from penstock.api.decorator import TaskDecorator
from penstock.api.definition import Definition
from penstock.api.fitting import isolation_of, locals_of, name_of, timeout_of
from penstock.api.options import Using, named
from penstock.api.schedulerouter import ScheduleRouter
from penstock.api.signature import read
from penstock.api.task import Task
from penstock.errors import ConfigurationError
from penstock.model.clock import Duration
from penstock.model.retry import Retry


class Router(ScheduleRouter):
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
        isolation: Literal["loop", "thread"] | None = None,
        retry: Retry | None = None,
        timeout: Duration | None = None,
    ) -> TaskDecorator:
        """Declare a task. Its name in the store is `<app>.<prefix>.<function>`, never the module's.

        `name` is instead of `<prefix>.<function>`, whole: give it to move the function; `aliases`: older such names whose jobs
        are still to be run. `queue`: shared under exactly this name with every other app that names it; unless given, the
        app's own, `<app>.default`. `isolation`: `loop` for `async def`, `thread` for `def`. `retry`: 10 attempts, 1 s doubling
        to 1 h with full jitter, unless given. `timeout`: 10 minutes for coroutines unless given (math.inf: none).
        A new parameter of a task that is in use needs a default.

        Raises ConfigurationError, naming file and line: for `*args`, `**kwargs` and positional-only parameters, injected
        parameters that do not come first in the order ctx, tx, and duplicate names.
        """
        if retry is not None and not isinstance(cast(object, retry), Retry):
            raise ConfigurationError(f"{place.caller()}: task(retry={retry!r}): pass a Retry, e.g. Retry(attempts=3)")

        def decorate(function: Callable[..., Any]) -> Task[..., Any]:
            signature = read(function, name or name_of(function), locals_of(function))
            definition = Definition(
                self,
                signature,
                name=name,
                aliases=tuple(aliases),
                queue=None if queue is None else named(f"{signature.place}: task(queue=…)", queue),
                isolation=isolation_of(signature, isolation),
                retry=retry or Retry(),
                timeout=timeout_of(signature, timeout),
            )
            self._declare(definition)
            return Task(definition, Using())

        return cast(TaskDecorator, decorate)
