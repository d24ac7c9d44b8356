"""Feeding subscriptions: from the log into the subscription's queue, in the transaction that moves its cursor.

What is fed is a message that points at its event, with the event's key, so that it is claimed, ordered by key, retried, buried and
looked at like any other. Its id is `<event id>@<subscription>`, with `#<generation>` after a seek.

Two statements, and one if there is nothing to feed; in READ COMMITTED, so that the second one's snapshot is newer than the floor:

1. The look: where the cursor is, whether there is anything behind it, and up to where that is settled (see `floor`).
2. The feed: so many events behind the cursor, of any type; the cursor moves to the last of them if it still is where the look
   saw it, in the same generation. Those of the types that are wanted become messages, with seqs in the order of their positions.

**Two feeders do no harm.** The second waits for the subscription's row, finds that the cursor has moved, and feeds nothing.

**What is not wanted is not looked at again**: the cursor passes it. And it ends a statement: `limit` counts it.

**A feed and a trim of one topic exclude each other**: the look takes the topic's lock if there is anything to feed (see
`trimming`). A seek waits for the subscription's row; so does a registration, which may change the types.
"""

from __future__ import annotations

from penstock.errors import NotFound
from penstock.model.log import Fed
from penstock.model.message import DEFAULT_PRIORITY
from penstock.model.statement import Program, Statement
from penstock.stores.postgres.floor import Look, bound

AHEAD = 10_000
"""Messages that could run, at which no more are fed."""


def feed(name: str, limit: int, now: int, *, strict: bool = False) -> Program[Fed]:
    """What somebody's open transaction holds back is `held`, not `more`."""
    rows = yield Statement("subscription", {"name": name, "ahead": AHEAD})
    if not rows:
        raise NotFound(f"feed: there is no subscription {name} in this store")
    topic, cursor, generation, behind, full, *look, _ = rows[0]
    upto = bound(Look(*look), strict=strict)
    if not behind or upto <= cursor:
        return Fed(0, more=False, held=bool(behind))
    if full:
        return Fed(0, more=True, full=True)
    place = {"name": name, "topic": topic, "cursor": cursor, "generation": generation}
    span = {"upto": upto, "limit": limit, "mark": mark(name, generation), "rank": 9 - DEFAULT_PRIORITY}
    ((seen, moved, count, more),) = yield Statement("feed", {**place, **span})
    return Fed(count, more=bool(more if moved else seen), held=not seen)


def mark(name: str, generation: int) -> str:
    """What follows the event's id in the id of a message that was fed."""
    return f"@{name}#{generation}" if generation else f"@{name}"
