"""Putting messages in: a few statements, however many messages and queues there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from penstock.model.message import Message, Placed
from penstock.model.statement import Program, Statement
from penstock.model.unique import Hold
from penstock.stores.sql.tally import Tally
from penstock.stores.sql.uniques import take

_WIDTH = 12
"""Columns that a put writes."""


def put(messages: Sequence[Message], now: int) -> Program[list[Placed]]:
    """Keep all that are new. Where an id that the caller chose is known, or a unique name held, what is there stays as it is."""
    if not any(message.given or message.unique is not None for message in messages):
        yield from _insert(messages, now)
        return [Placed(message.id) for message in messages]
    placed: dict[int, Placed] = {}
    while len(placed) < len(messages):
        turn = _first_of_each_id(messages, placed)
        placed.update(zip(turn, (yield from _put_those([messages[at] for at in turn], now)), strict=True))
        there = {one.id for at in turn if (one := placed[at]).id == messages[at].id}
        placed |= {at: Placed(one.id, False) for at, one in enumerate(messages) if at not in placed and one.id in there}
    return [placed[at] for at in range(len(messages))]


def _first_of_each_id(messages: Sequence[Message], placed: Mapping[int, Placed]) -> list[int]:
    """An id that comes again is asked for again only if a name refused the first: a name is taken for one that is stored."""
    first: dict[str, int] = {}
    for at, message in enumerate(messages):
        if at not in placed:
            first.setdefault(message.id, at)
    return list(first.values())


def _put_those(messages: Sequence[Message], now: int) -> Program[list[Placed]]:
    """Messages whose ids differ."""
    known = yield from _known(messages)
    holders = yield from take(_asked(messages, known), now)
    placed = [_place(message, known, holders) for message in messages]
    if fresh := [message for message, one in zip(messages, placed, strict=True) if one.created]:
        yield from _insert(fresh, now)
    return placed


def _known(messages: Sequence[Message]) -> Program[set[str]]:
    """The ids that the store has already."""
    given = [message.id for message in messages if message.given]
    known = (yield Statement("known_ids", {"ids": msgspec.json.encode(given).decode()})) if given else ()
    return {row[0] for row in known}


def _asked(messages: Sequence[Message], known: set[str]) -> list[tuple[Hold, str]]:
    """Each name once, for the first message that wants it."""
    asked: dict[str, tuple[Hold, str]] = {}
    for message in messages:
        if message.unique is not None and message.id not in known:
            asked.setdefault(message.unique.name, (message.unique, message.id))
    return list(asked.values())


def _place(message: Message, known: set[str], holders: Mapping[str, tuple[str, bool]]) -> Placed:
    """What becomes of it: stored, or it is the one with its id, or the one with its name."""
    if message.id in known:
        return Placed(message.id, False)
    holder, held = (message.id, True) if message.unique is None else holders[message.unique.name]
    return Placed(holder, held and holder == message.id)


def last_seq() -> Program[int]:
    """Of all messages that there ever were."""
    rows = yield Statement("last_seq")
    return int(rows[0][0]) if rows else 0


def _insert(messages: Sequence[Message], now: int) -> Program[None]:
    after = {"after": (yield from last_seq())}
    tally = Tally()
    values, delayed = _values(messages, now, tally)
    yield Statement("put_messages", values=values, width=_WIDTH)
    if delayed < len(messages):
        yield Statement("put_ready", after)
    if delayed:
        yield Statement("put_later", after)
    yield from tally.write()


def _values(messages: Sequence[Message], now: int, tally: Tally) -> tuple[list[object], int]:
    """The parameters of all rows, and how many of them are not due yet."""
    values: list[object] = []
    delayed = 0
    for m in messages:
        due = m.due if m.delay is None else now + m.delay
        end = m.expires if m.lifetime is None else now + m.lifetime
        if due is not None and due > now:
            delayed += 1
            tally.move(m.queue, "waiting", "delayed")
        else:
            due = None
        rank = 9 - m.priority
        values += (m.id, m.queue, m.task, rank, m.key, due, end, now, m.given, m.headers, m.options, m.body)
    for queue, count in Counter([m.queue for m in messages]).items():
        tally.add(queue, "waiting", count)
    return values, delayed
