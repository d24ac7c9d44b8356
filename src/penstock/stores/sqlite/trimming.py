"""Forgetting events by age, and never one that somebody has to read yet, unless `retention_max` says so.

A message that still waits gets a copy of its event in the transaction that forgets it, so that one stuck message never keeps the
whole log. What `retention_max` takes from a subscription that has not read it is written down, with its range.
"""

from __future__ import annotations

from penstock.model.clock import SECOND
from penstock.model.statement import Program, Row, Rows, Statement
from penstock.stores.sqlite.feeding import mark
from penstock.stores.sqlite.places import place, position

REMEMBERED = 24 * 3600 * SECOND
"""µs that ids which callers chose are known, whatever the retention."""

NUMBER, FIRST, NEXT, RETENTION, RETENTION_MAX, READ = range(6)


def trim(limit: int, now: int) -> Program[int]:
    gone = 0
    for topic in (yield Statement("aged_topics")):
        if gone < limit:
            gone += yield from _trim_topic(topic, limit - gone, now)
    return gone


def _trim_topic(topic: Row, limit: int, now: int) -> Program[int]:
    span = {"place": place(topic[NUMBER], topic[FIRST]), "end": place(topic[NUMBER], topic[NEXT])}
    rows = yield Statement("oldest_events", {**span, "limit": limit})
    last = _last_to_go(topic, rows, now)
    if last < topic[FIRST]:
        return 0
    gone = {"first": span["place"], "last": place(topic[NUMBER], last)}
    for name, cursor, generation in (yield Statement("subscriptions_of", {"topic": topic[NUMBER]})):
        if cursor < last:
            yield from _skip(name, max(cursor + 1, topic[FIRST]), last, now)
        yield Statement("embody_fed", {**gone, "mark": mark(name, generation)})
    yield Statement("forget_events", gone)
    yield Statement("move_first", {"number": topic[NUMBER], "first": last + 1})
    return int(last - topic[FIRST] + 1)


def _last_to_go(topic: Row, rows: Rows, now: int) -> int:
    """The position up to which all may go. Ages fall along the log."""
    last = int(topic[FIRST]) - 1
    for at_place, at, given in rows:
        here, age = position(at_place), now - at
        if given and age < REMEMBERED:
            break
        read = here <= topic[READ] and topic[RETENTION] is not None and age > topic[RETENTION]
        if not read and not (topic[RETENTION_MAX] is not None and age > topic[RETENTION_MAX]):
            break
        last = here
    return last


def _skip(name: str, first: int, last: int, now: int) -> Program[None]:
    yield Statement("remember_missed", {"name": name, "first": first, "last": last, "now": now})
    yield Statement("skip_to", {"name": name, "cursor": last})
