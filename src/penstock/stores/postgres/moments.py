"""Finding a place in a topic by time."""

from __future__ import annotations

from penstock.errors import NotFound
from penstock.model.statement import Program, Statement


def position_at(topic: str, moment: int) -> Program[int]:
    """Of an event that is older than the moment, while the next one is not; before the first event if none is older.

    The time of an event is that of the call that published it, the position is drawn a little later: after a wait for its key, and
    by another clock than the next one's. As far as calls waited or clocks differed, times go back along a topic, and there are
    several such places. It is one of them: who seeks a place for sure looks for an earlier moment.
    """
    rows = yield Statement("position_at", {"topic": topic, "moment": moment})
    if not rows:
        raise NotFound(f"there is no topic {topic} in this store")
    return int(rows[0][0])
