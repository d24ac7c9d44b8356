"""Putting messages in: a few statements, however many messages and queues there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from penstock.model.message import Message, Placed
from penstock.model.statement import Program, Statement
from penstock.stores.sql.placing import WIDTH, asked, in_turns, place, rows
from penstock.stores.sql.tally import Tally
from penstock.stores.sql.uniques import take


def put(messages: Sequence[Message], now: int) -> Program[list[Placed]]:
    """Keep all that are new. Where an id that the caller chose is known, or a unique name held, what is there stays as it is."""
    if any(message.given or message.unique is not None for message in messages):
        return (yield from in_turns(messages, now, _put_those))
    yield from _insert(messages, now)
    return [Placed(message.id) for message in messages]


def _put_those(messages: Sequence[Message], now: int) -> Program[list[Placed]]:
    known = yield from _known(messages)
    holders = yield from take(asked(messages, known), now)
    placed = [place(message, known, holders) for message in messages]
    if fresh := [message for message, one in zip(messages, placed, strict=True) if one.created]:
        yield from _insert(fresh, now)
    return placed


def _known(messages: Sequence[Message]) -> Program[set[str]]:
    """The ids that the store has already."""
    given = [message.id for message in messages if message.given]
    known = (yield Statement("known_ids", {"ids": msgspec.json.encode(given).decode()})) if given else ()
    return {row[0] for row in known}


def last_seq() -> Program[int]:
    """Of all messages that there ever were."""
    found = yield Statement("last_seq")
    return int(found[0][0]) if found else 0


def _insert(messages: Sequence[Message], now: int) -> Program[None]:
    after = {"after": (yield from last_seq())}
    values, delayed = rows(messages, now)
    yield Statement("put_messages", values=values, width=WIDTH)
    if delayed.total() < len(messages):
        yield Statement("put_ready", after)
    if delayed:
        yield Statement("put_later", after)
    tally = Tally()
    for queue, count in Counter([m.queue for m in messages]).items():
        tally.add(queue, "waiting", count)
        tally.move(queue, "waiting", "delayed", delayed[queue])
    yield from tally.write()
