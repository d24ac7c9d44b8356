"""Sending a subscription to another place in its topic.

What was fed and has not begun is dropped. What has begun ends: what runs, waits for a retry, or was replayed goes on with a copy of
its event, since the log no longer keeps that for it. Whatever else is in the queue (hooks' jobs) stays, and so do dead letters. What
is fed from now on carries the new generation in its ids.
"""

from __future__ import annotations

from penstock.errors import NotFound
from penstock.model.statement import Program, Statement
from penstock.stores.sql.dialect import Dialect
from penstock.stores.sql.keys import wake
from penstock.stores.sql.tally import Tally

_PLACES = ("drop_ready", "drop_strays", "drop_aside")


def seek(name: str, position: int) -> Program[int]:
    if not (yield Statement("seek", {"name": name, "cursor": position})):
        raise NotFound(f"seek: there is no subscription {name} in this store")
    return (yield from _drop_unbegun(name))


def drop(name: str, dialect: Dialect) -> Program[int]:
    """As if it were sought for the last time. Should it come back, it starts with another generation: the ids of what it was fed
    before may still be in the store."""
    yield from dialect.alone("topics")  # who registers it again sees the generation
    dropped = yield Statement("drop_subscription", {"name": name})
    if not dropped:
        raise NotFound(f"drop: there is no subscription {name} in this store")
    yield Statement("set_generation", {"name": name, "next": dropped[0][0] + 1})
    yield Statement("drop_missed", {"name": name})
    return (yield from _drop_unbegun(name))


def _drop_unbegun(name: str) -> Program[int]:
    dropped = yield from _drop(name)
    yield Statement("embody_begun", {"queue": name})
    return dropped


def _drop(queue: str) -> Program[int]:
    tally = Tally()
    dropped: list[int] = []
    keys: dict[str, None] = {}
    for statement in _PLACES:
        rows = yield Statement(statement, {"queue": queue})
        tally.add(queue, "waiting", -len(rows))
        dropped += [row[0] for row in rows]
        keys |= {row[1]: None for row in rows if row[1] is not None}
    if dropped:  # nobody began them, so they have no attempts
        for statement in ("forget_progress", "forget_messages"):
            yield Statement(statement, {"seqs": str(dropped)})
    yield from wake([(queue, key) for key in keys])  # a replayed one may have waited behind those
    yield from tally.write()
    return len(dropped)
