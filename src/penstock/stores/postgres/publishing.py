"""Publishing and appending: one statement each, so one round trip, on a connection of the store's or in a user's transaction.

An append is decided while its key's row in `stream` is locked:

- The row is taken by `insert … on conflict do update`, in the order of the keys, so that appends to many keys do not wait for
  each other in a circle. What the update's condition compares is the row's newest version, not the statement's snapshot. Who
  appends to a key next waits until this transaction has ended.
- Positions are drawn from the rows that were taken, so after the lock: in a key, the order of versions is that of positions.
- The statement's snapshot is older than its wait. Whether the given ids are known, and what version a refused append has met,
  is therefore looked up by functions that are `volatile`: in READ COMMITTED each call sees what has been committed until then.
- What is refused changes nothing and raises nothing, so the user's transaction goes on; the key stays locked until it ends.
- In REPEATABLE READ a key that another transaction has moved is PostgreSQL's serialization failure (40001).

Of a key that is appended to several times, each append but the first is decided by a further statement: the first one has
locked all keys by then.

Chosen ids are published in their own order, whatever their events' order, so two statements with the same ids do not wait for
each other in a circle. Two transactions can, of which each publishes one first and the other's later: PostgreSQL ends one.

A topic that is not there is made at once. Declare topics at the start: until the transaction that made one has ended, others
that need it wait.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock.model.log import Append, Conflict, Event, Reused, TopicSpec
from penstock.model.message import Placed
from penstock.model.statement import Program, Row, Statement
from penstock.stores.postgres.guard import OURS
from penstock.stores.sql.appending import Result, Unheard
from penstock.stores.sql.topics import declare_topic

_PUBLISHED, _APPENDED = 10, 14


def publish(topic: TopicSpec, events: Sequence[Event], now: int, *, strict: bool = False) -> Program[list[Placed]]:
    """Keep all that are new. An id that the caller chose and that is known already is left as it was."""
    values: list[object] = []
    for e in events:
        values += (topic.name, topic.versioned, strict, now, e.given, e.id, e.type, e.key, e.headers, e.body)
    rows = (yield from _declared(topic, Statement("publish_events", OURS, values, _PUBLISHED))) if events else ()
    created = {row[0] for row in rows}
    first = {event.id: n for n, event in reversed(list(enumerate(events)))}
    return [Placed(event.id, event.id in created and first[event.id] == n) for n, event in enumerate(events)]


def append(topic: TopicSpec, appends: Sequence[Append], now: int, *, strict: bool = False) -> Program[list[Result]]:
    """For each, in their order: the key's new version, or why not. The same given id again: what the first time came to."""
    if len(appends) == 1 and (version := (yield from _append_simple(appends[0], topic, now, strict=strict))) is not None:
        return [version]
    results: dict[int, Result] = {}
    for turn in _turns(appends):
        found = yield from _append([appends[at] for at in turn], topic, now, strict=strict)
        results.update(zip(turn, found, strict=True))
    return [results[at] for at in range(len(appends))]


def _turns(appends: Sequence[Append]) -> list[list[int]]:
    """The first of each key, the second of each key, …"""
    turns: list[list[int]] = []
    count: dict[str, int] = {}
    for at, each in enumerate(appends):
        turn = count[each.key] = count.get(each.key, -1) + 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(at)
    return turns


def _append_simple(append: Append, topic: TopicSpec, now: int, *, strict: bool) -> Program[int | None]:
    """One event whose id nobody chose, the common case, for a third of the work; None says nothing but to ask the long way.
    Subscriptions that come while it runs look by themselves."""
    if append.given is not None or len(append.events) != 1:
        return None
    (e,) = append.events
    values = {"topic": topic.name, "strict": strict, "now": now, "key": append.key, "expected": append.expected}
    rows = yield Statement("append_event", {**OURS, **values, "id": e.id, "type": e.type, "headers": e.headers, "body": e.body})
    version, heard, _ = rows[0]
    return version if heard or version is None else Unheard(version)


def _append(appends: Sequence[Append], topic: TopicSpec, now: int, *, strict: bool) -> Program[list[Result]]:
    values: list[object] = []
    for each in appends:
        size = len(each.events)
        ends = (None, None) if each.given is None else (each.id_of(size), each.id_of(size + 1))
        for n, e in enumerate(each.events, 1):
            values += (topic.name, strict, now, each.key, each.expected, size, n, *ends)
            values += (each.given is not None, e.id, e.type, e.headers, e.body)
    rows = yield from _declared(topic, Statement("append_events", OURS, values, _APPENDED))
    found = {row[0]: row for row in rows}
    return [_result(each, found[each.key]) for each in appends]


def _declared(topic: TopicSpec, statement: Statement) -> Program[Sequence[Row]]:
    """A topic that is not there brings no row: it is made, once. Raises ConfigurationError for one that is of the other kind."""
    rows = yield statement
    if not rows:
        yield from declare_topic(topic)
        rows = yield statement
    return rows


def _result(append: Append, row: Row) -> Result:
    _, version, actual, first, last, beyond, _ = row
    if version is not None:
        return int(version)
    if first is not None:
        return Reused() if last is None or beyond is not None else int(last)
    assert append.expected is not None, f"{append.key!r}: refused, and nothing was expected"
    return Conflict(append.expected, actual or 0)
