"""The places of events: `topic number << 40 | position`, so that a topic's events lie together in the order of their commits, and
need no index of their own.
"""

from __future__ import annotations

from penstock.model.log import TopicSpec
from penstock.model.statement import Program, Statement
from penstock.stores.sql.topics import declare_topic

_SHIFT = 40
_MASK = (1 << _SHIFT) - 1


def place(number: int, position: int) -> int:
    return number << _SHIFT | position


def position(place: int) -> int:
    return place & _MASK


def number_of(place: int) -> int:
    """Of its topic."""
    return place >> _SHIFT


def advance(topic: TopicSpec, count: int) -> Program[int]:
    """Take the next `count` places; the first of them. Makes the topic if it is not there yet."""
    take = Statement("advance_topic", {"name": topic.name, "versioned": topic.versioned, "count": count})
    rows = yield take
    if not rows:
        yield from declare_topic(topic)
        rows = yield take
    number, first = rows[0]
    return place(number, first)
