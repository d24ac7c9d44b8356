"""Putting messages in: three statements and one a queue for the counters, however many messages there are."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from penstock.model.message import Message, Placed
from penstock.model.statement import Program, Statement
from penstock.stores.sqlite.tally import Tally


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
    delayed = _count(messages, now, tally)
    yield Statement("put_messages", rows=[_row(message, now) for message in messages])
    if delayed < len(messages):
        yield Statement("put_ready", after)
    if delayed:
        yield Statement("put_later", after)
    yield from tally.write()


def _row(message: Message, now: int) -> tuple[object, ...]:
    due = message.due
    return (
        message.id,
        message.queue,
        message.task,
        9 - message.priority,
        message.key,
        due if due is not None and due > now else None,
        message.expires,
        now,
        message.given,
        message.headers,
        message.options,
        message.body,
    )


def _count(messages: Sequence[Message], now: int, tally: Tally) -> int:
    delayed = 0
    for message in messages:
        if message.due is not None and message.due > now:
            delayed += 1
            tally.add(message.queue, "delayed")
        else:
            tally.add(message.queue, "waiting")
    return delayed
