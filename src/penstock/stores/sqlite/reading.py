"""Reading a topic, and finding a place in it by time."""

from __future__ import annotations

from penstock.errors import NotFound
from penstock.model.log import Recorded
from penstock.model.statement import Program, Statement
from penstock.stores.sqlite.places import place, position


def read(topic: str, after: int, limit: int) -> Program[list[Recorded]]:
    found = yield Statement("topic", {"name": topic})
    if not found:
        return []
    number = found[0][0]
    rows = yield Statement("events", {"after": place(number, after), "end": place(number + 1, 0), "limit": limit})
    return [Recorded(*row) for row in rows]


def position_at(topic: str, moment: int) -> Program[int]:
    """By halving: times never go back in a topic, and positions have no gaps but where it begins."""
    rows = yield Statement("topic", {"name": topic})
    if not rows:
        raise NotFound(f"there is no topic {topic} in this store")
    number, next_, first = (int(value) for value in rows[0][:3])
    low, high = first, next_
    while low < high:
        middle = (low + high) // 2
        found = yield Statement("event_at", {"place": place(number, middle), "end": place(number, next_)})
        if found and found[0][1] < moment:
            low = position(found[0][0]) + 1
        else:
            high = middle
    return low - 1
