"""The user's stages, folded around the engine's."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.engine.stages.verdict import FAILURES, Judge
from penstock.model.delivery import Delivery
from penstock.model.outcome import Committed, Dead, Done, Failed, Outcome, Released, Snoozed
from penstock.ports.handler import Handler, Stage

OUTCOMES = (Done, Committed, Failed, Snoozed, Dead, Released)


def fold(stages: Sequence[Stage], handler: Handler, judge: Judge) -> Handler:
    """The first stage is the outermost."""
    for stage in reversed(stages):
        handler = around(stage, handler, judge)
    return handler


def around(stage: Stage, handler: Handler, judge: Judge) -> Handler:
    """A stage that raises, or returns no outcome, fails the delivery as a handler would; those outside it see an outcome."""

    async def staged(delivery: Delivery) -> Outcome:
        try:
            outcome = await stage(delivery, handler)
            if not isinstance(outcome, OUTCOMES):
                raise TypeError(f"the stage {stage!r} returned {type(outcome).__name__}, not an Outcome: return await next(delivery)")
        except FAILURES as error:
            return judge(delivery, error)
        return outcome

    return staged
