"""Feeding subscriptions: from the log into the subscription's queue, in the transaction that moves its cursor.

What is fed is a message that points at its event, with the event's key, so that it is claimed, ordered by key, retried, buried and
looked at like any other. Its id is `<event id>@<subscription>`, with `#<generation>` after a seek.

Two feeders of one subscription do no harm: the cursor moves by compare-and-set.
"""

from __future__ import annotations

from penstock.errors import NotFound
from penstock.model.log import Fed
from penstock.model.message import DEFAULT_PRIORITY
from penstock.model.statement import Program, Statement
from penstock.stores.sql.tally import Tally
from penstock.stores.sqlite.places import place
from penstock.stores.sqlite.put import last_seq

AHEAD = 10_000
"""Messages that could run, at which no more are fed."""


def feed(name: str, limit: int, now: int) -> Program[Fed]:
    rows = yield Statement("subscription", {"name": name})
    if not rows:
        raise NotFound(f"feed: there is no subscription {name} in this store")
    number, next_, types, cursor, generation, waiting = rows[0]
    upto = min(next_ - 1, cursor + limit)
    if upto <= cursor:
        return Fed(0, more=False)
    if waiting >= AHEAD and (yield Statement("could_run", {"queue": name, "limit": AHEAD}))[0][0] >= AHEAD:
        return Fed(0, more=True, full=True)
    if not (yield Statement("move_cursor", {"name": name, "was": cursor, "cursor": upto, "generation": generation})):
        return Fed(0, more=True)
    span = {"after": place(number, cursor), "upto": place(number, upto)}
    count = yield from _fill(name, {**span, "types": types, "mark": mark(name, generation)})
    return Fed(count, more=upto < next_ - 1)


def mark(name: str, generation: int) -> str:
    """What follows the event's id in the id of a message that was fed."""
    return f"@{name}#{generation}" if generation else f"@{name}"


def _fill(queue: str, span: dict[str, object]) -> Program[int]:
    before = yield from last_seq()
    yield Statement("feed", {**span, "queue": queue, "rank": 9 - DEFAULT_PRIORITY})
    count = (yield from last_seq()) - before
    if count:
        yield Statement("put_ready", {"after": before})
        tally = Tally()
        tally.add(queue, "waiting", count)
        yield from tally.write()
    return count
