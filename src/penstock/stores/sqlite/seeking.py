"""Sending a subscription to another place in its topic.

What was fed and has not begun is dropped. What has begun ends: what runs, waits for a retry, or was replayed goes on with a copy of
its event, since the log no longer keeps that for it. Whatever else is in the queue (hooks' jobs) stays, and so do dead letters. What
is fed from now on carries the new generation in its ids.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock.errors import NotFound
from penstock.model.statement import Program, Statement
from penstock.stores.sqlite.tally import Tally
from penstock.stores.sqlite.topics import place, position

_PLACES = ("drop_ready", "drop_aside", "drop_strays")


def seek(name: str, position: int) -> Program[int]:
    if not (yield Statement("seek", {"name": name, "cursor": position})):
        raise NotFound(f"seek: there is no subscription {name} in this store")
    dropped = yield from _drop(name)
    begun = yield Statement("begun_of", {"queue": name})
    yield Statement("embody", {"seqs": str([row[0] for row in begun])})
    return dropped


def _drop(queue: str) -> Program[int]:
    tally = Tally()
    dropped: list[int] = []
    for statement in _PLACES:
        rows = yield Statement(statement, {"queue": queue})
        tally.add(queue, "waiting", -len(rows))
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
