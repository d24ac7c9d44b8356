"""The user's stages, folded around the engine's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from penstock.engine.stages.verdict import Judge
from penstock.model.delivery import Delivery
from penstock.model.outcome import Committed, Dead, Done, Ending, Failed, Outcome, Released, Snoozed, Split
from penstock.ports.handler import Handler, Next, Stage

OUTCOMES = (Done, Committed, Failed, Snoozed, Dead, Released)


def fold(stages: Sequence[Stage], handler: Handler, judge: Judge) -> Handler:
    """The first stage is the outermost."""
    for stage in reversed(stages):
        handler = around(stage, handler, judge)
    return handler


def around(stage: Stage, handler: Handler, judge: Judge) -> Handler:
    """A stage that raises, or returns no outcome, fails the delivery as a handler would; those outside it see an outcome."""

    async def staged(delivery: Delivery) -> Ending:
        shown = Shown(handler) if delivery.rows else None
        try:
            outcome = await stage(delivery, cast(Next, handler) if shown is None else shown.next)
            if not isinstance(outcome, OUTCOMES):
                raise TypeError(f"the stage {stage!r} returned {type(outcome).__name__}, not an Outcome: return await next(delivery)")
        except BaseException as error:
            return judge(delivery, error)
        return outcome if shown is None else shown.meant(outcome)

    return staged


class Shown:
    """What a stage sees of a batch whose rows end in different ways: one outcome. If it returns another, that is every row's."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._split: Split | None = None
        self._outcome: Outcome | None = None

    async def next(self, delivery: Delivery) -> Outcome:
        ending = await self._handler(delivery)
        if not isinstance(ending, Split):
            return ending
        self._split, self._outcome = ending, summary(ending)
        return self._outcome

    def meant(self, outcome: Outcome) -> Ending:
        return self._split if self._split is not None and outcome is self._outcome else outcome


def summary(split: Split) -> Outcome:
    """`Released` while some rows are to be run again, else the end of the first one that is not done."""
    if None in split.ends:
        return Released()
    return next((end for end in split.ends if end is not None and not isinstance(end, Done)), Done())
