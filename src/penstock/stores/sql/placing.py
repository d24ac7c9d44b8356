"""What becomes of each message of a put: stored, or it is the one with its id, or the one with its name.

An id that comes again in one put is asked for again only if a name refused the first: a name is taken for one that is stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from penstock.model.message import Message, Placed
from penstock.model.statement import Program
from penstock.model.unique import Hold

WIDTH = 12
"""Columns that a put writes."""


def in_turns(
    messages: Sequence[Message], now: int, put_those: Callable[[Sequence[Message], int], Program[list[Placed]]]
) -> Program[list[Placed]]:
    """`put_those` puts messages whose ids differ."""
    placed: dict[int, Placed] = {}
    while len(placed) < len(messages):
        turn = _first_of_each_id(messages, placed)
        placed.update(zip(turn, (yield from put_those([messages[at] for at in turn], now)), strict=True))
        there = {one.id for at in turn if (one := placed[at]).id == messages[at].id}
        placed |= {at: Placed(one.id, False) for at, one in enumerate(messages) if at not in placed and one.id in there}
    return [placed[at] for at in range(len(messages))]


def _first_of_each_id(messages: Sequence[Message], placed: Mapping[int, Placed]) -> list[int]:
    first: dict[str, int] = {}
    for at, message in enumerate(messages):
        if at not in placed:
            first.setdefault(message.id, at)
    return list(first.values())


def asked(messages: Sequence[Message], known: Collection[str]) -> list[tuple[Hold, str]]:
    """Each name once, for the first message that wants it."""
    wanted: dict[str, tuple[Hold, str]] = {}
    for message in messages:
        if message.unique is not None and message.id not in known:
            wanted.setdefault(message.unique.name, (message.unique, message.id))
    return list(wanted.values())


def place(message: Message, known: Collection[str], holders: Mapping[str, tuple[str, bool]]) -> Placed:
    if message.id in known:
        return Placed(message.id, False)
    holder, held = (message.id, True) if message.unique is None else holders[message.unique.name]
    return Placed(holder, held and holder == message.id)


def ranks(messages: Iterable[Message]) -> set[tuple[str, int]]:
    """Queues and ranks to which messages are put that may start at once."""
    return {(message.queue, 9 - message.priority) for message in messages if message.due is message.delay is None}


def rows(messages: Sequence[Message], now: int) -> tuple[list[object], Counter[str]]:
    """The values of all rows, flat, and how many of each queue are not due yet."""
    values: list[object] = []
    delayed: Counter[str] = Counter()
    for m in messages:
        due = m.due if m.delay is None else now + m.delay
        end = m.expires if m.lifetime is None else now + m.lifetime
        if due is not None and due > now:
            delayed[m.queue] += 1
        else:
            due = None
        values += (m.id, m.queue, m.task, 9 - m.priority, m.key, due, end, now, m.given, m.headers, m.options, m.body)
    return values, delayed
