"""Sending a subscription to another place in its topic.

What was fed and has not begun is dropped, and its keys with it; what runs ends, with a copy of its event, since the log no longer
keeps that for it. Dead letters stay. What is fed from now on carries the new generation in its ids.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock.errors import NotFound
from penstock.model.statement import Program, Statement
from penstock.stores.sqlite.tally import Count, Tally
from penstock.stores.sqlite.topics import place, position

_PLACES: tuple[tuple[str, Count], ...] = (
    ("drop_ready", "waiting"),
    ("drop_aside", "waiting"),
    ("drop_strays", "waiting"),
    ("drop_suspects", "waiting"),
    ("drop_later_all", "delayed"),
)


def seek(name: str, position: int) -> Program[int]:
    if not (yield Statement("seek", {"name": name, "cursor": position})):
        raise NotFound(f"seek: there is no subscription {name} in this store")
    running = yield Statement("running_of", {"queue": name})
    yield Statement("embody", {"seqs": str([row[0] for row in running])})
    dropped = yield from _drop(name)
    yield Statement("free_waiting_keys", {"queue": name})
    return dropped


def _drop(queue: str) -> Program[int]:
    tally = Tally()
    dropped: list[int] = []
    for statement, count in _PLACES:
        rows = yield Statement(statement, {"queue": queue})
        tally.add(queue, count, -len(rows))
        dropped += [row[0] for row in rows]
    if dropped:
        yield from _forget(dropped)
    yield from tally.write()
    return len(dropped)


def _forget(seqs: Sequence[int]) -> Program[None]:
    for statement in ("forget_attempts", "forget_messages"):
        yield Statement(statement, {"seqs": str(seqs)})


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
