"""When something is due next."""

from __future__ import annotations

from penstock.model.statement import Program, Statement
from penstock.stores.sql.limits import next_opening


def next_moment(after: int) -> Program[int | None]:
    """The next delay or retry, over all queues, or the next opening of a rate."""
    due = (yield Statement("next_moment", {"after": after}))[0][0]
    opening = yield from next_opening(after)
    return min((each for each in (due, opening) if each is not None), default=None)
