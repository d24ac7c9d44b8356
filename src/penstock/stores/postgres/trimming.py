"""Forgetting events by age, and never one that somebody has to read yet, unless `retention_max` says so.

A message that still waits gets a copy of its event in the transaction that forgets it, so that one stuck message never keeps the
whole log. What `retention_max` takes from a subscription that has not read it is written down, with its range.

**No event is forgotten to which a message points that has not ended.** Only feeds make messages that point at events. A trim has
its topic's lock alone until its transaction ends; a feed shares it. So a feed that goes before has committed when the trim looks,
and is seen: in READ COMMITTED the look is a later statement than the lock. And one that comes after reads the log with a snapshot
in which the events are gone, since its feed is a later statement than its look, which takes the lock. Messages are found by where
they point, not by where they are or what they are called: none can move away from under the look. A message whose row somebody
has locked (a settle that counts a failure) is not waited for: its event stays, and those behind it.

**No event is forgotten that a subscription has not read**, with `retention`: the lowest cursor is looked for under the lock, and
whoever moves one back, a seek, shares it. A subscription that is registered meanwhile begins behind what goes, or is told what it
missed.

**Nothing above the floor goes**, or `first` would pass an event that is not committed yet: it would never be trimmed, and never
be fed by who reads behind `first`.

**Locks.** Of the first topic, its lock is waited for while nothing is held; of the others it is only tried. What is waited for with
it is rows of subscriptions that are being registered or dropped; who does that holds nothing else of ours, or holds the topic's
row: then the topic is passed over. So trims wait for feeds, feeds for trims, and nobody in a circle.
"""

from __future__ import annotations

from penstock.model.clock import SECOND
from penstock.model.statement import Program, Row, Rows, Statement
from penstock.stores.postgres import floor

REMEMBERED = 24 * 3600 * SECOND
"""µs that ids which callers chose are known, whatever the retention."""

FIRST, RETENTION, RETENTION_MAX, READ = range(4)


def trim(limit: int, now: int, *, strict: bool = False) -> Program[int]:
    aged = yield Statement("aged_topics", {"now": now, "known_since": now - REMEMBERED})
    if not aged:
        return 0
    upto = yield from floor.settled(strict=strict)
    gone = 0
    for n, (number,) in enumerate(aged):
        taken = gone < limit and (yield Statement("take_topic", {"topic": number, "waits": n == 0}))[0][0]
        if taken and (found := (yield Statement("topic_to_trim", {"topic": number}))):
            gone += yield from _trim_topic(number, found[0], {"upto": upto, "limit": limit - gone}, now)
    return gone


def _trim_topic(number: int, topic: Row, reach: dict[str, int], now: int) -> Program[int]:
    place = {"topic": number, "first": topic[FIRST]}
    last = _last_to_go(topic, (yield Statement("oldest_events", {**place, **reach})), now)
    yield Statement("embody_fed", {**place, "last": last})
    referred = (yield Statement("still_referred", {**place, "last": last}))[0][0]
    if referred is not None:
        last = referred - 1
    if last < topic[FIRST]:
        return 0
    yield Statement("pass_over", {**place, "last": last, "now": now})
    return int((yield Statement("forget_events", {**place, "last": last}))[0][0])


def _last_to_go(topic: Row, rows: Rows, now: int) -> int:
    """The position up to which all may go. Where ages do not fall along the log, the first one that stays keeps those behind it."""
    last = int(topic[FIRST]) - 1
    for here, at, given in rows:
        age = now - at
        if given and age < REMEMBERED:
            break
        read = (topic[READ] is None or here <= topic[READ]) and topic[RETENTION] is not None and age > topic[RETENTION]
        if not read and not (topic[RETENTION_MAX] is not None and age > topic[RETENTION_MAX]):
            break
        last = here
    return last
