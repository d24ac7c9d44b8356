"""Putting messages in: a few statements, however many messages and queues there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from penstock.model.message import Message, Placed
from penstock.model.statement import Program, Statement
from penstock.stores.sqlite.tally import Tally

_WIDTH = 12
"""Columns that a put writes."""


def put(messages: Sequence[Message], now: int) -> Program[list[Placed]]:
    """Keep all that are new. An id that the caller chose and that is known already is left as it was."""
    given = [message.id for message in messages if message.given]
    if not given:
        yield from _insert(messages, now)
        return [Placed(message.id) for message in messages]
    known = {row[0] for row in (yield Statement("known_ids", {"ids": msgspec.json.encode(given).decode()}))}
    fresh: dict[str, Message] = {}
    placed: list[Placed] = []
    for message in messages:
        created = message.id not in known and message.id not in fresh
        if created:
            fresh[message.id] = message
        placed.append(Placed(message.id, created))
    if fresh:
        yield from _insert(list(fresh.values()), now)
    return placed


def _insert(messages: Sequence[Message], now: int) -> Program[None]:
    last = yield Statement("last_seq")
    after = {"after": last[0][0] if last else 0}
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
        due = m.due if m.due is not None and m.due > now else None
        if due is not None:
            delayed += 1
            tally.move(m.queue, "waiting", "delayed")
        rank = 9 - m.priority
        values += (m.id, m.queue, m.task, rank, m.key, due, m.expires, now, m.given, m.headers, m.options, m.body)
    for queue, count in Counter([m.queue for m in messages]).items():
        tally.add(queue, "waiting", count)
    return values, delayed
