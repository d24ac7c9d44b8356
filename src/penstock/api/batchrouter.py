"""Declares batch tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from penstock.api import place
from penstock.api.declaring import Handler
from penstock.api.definition import Definition
from penstock.api.fitting import checked_retry, isolation_of, locals_of, name_of, timeout_of
from penstock.api.options import Using, named
from penstock.api.rows import batch_of, read_rows
from penstock.api.task import Task
from penstock.api.topicrouter import TopicRouter
from penstock.model.clock import Duration
from penstock.model.retry import Retry

Row = TypeVar("Row")


class BatchRouter(TopicRouter):
    """The part of a `Router` that declares batch tasks."""

    def batch_task(
        self,
        *,
        size: int,
        wait: Duration = 0.05,
        name: str | None = None,
        aliases: Sequence[str] = (),
        queue: str | None = None,
        retry: Retry | None = None,
        timeout: Duration | None = None,
    ) -> Callable[[Handler[list[Row]]], Task[[Row], None]]:
        """Declare a task whose handler takes many jobs at once: each job is one row of its list.

        `size`: rows of one call at the most, 1 to 10,000. `wait`: how long it waits for more after the first (seconds or timedelta).
        The rest as in `task`. `raise PartialFailure({index: error})` fails those rows; after any other exception all run again one by
        one, uncounted; RetryAfter, Snooze, Reject and a timeout hold for each. With `tx` all rows end in its transaction, or none.

            @app.batch_task(size=100)
            async def index(products: list[Product]) -> None: ...
        """
        batch, policy = batch_of(place.caller(), size, wait), checked_retry("batch_task", retry)

        def decorate(function: Handler[list[Row]]) -> Task[[Row], None]:
            signature = read_rows(function, name or name_of(function), locals_of(function))
            isolation = isolation_of(signature, None)
            definition = Definition(
                self,
                signature,
                name=name,
                aliases=tuple(aliases),
                queue=None if queue is None else named(f"{signature.place}: batch_task(queue=…)", queue),
                isolation=isolation,
                retry=policy,
                timeout=timeout_of(signature, isolation, timeout),
                batch=batch,
            )
            self._declare(definition)
            return Task(definition, Using())

        return decorate
