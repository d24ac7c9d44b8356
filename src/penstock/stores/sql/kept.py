"""What a transaction was given and needs no answer for: kept back, and written in one go just before the next thing that does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

from penstock.model.log import Event, TopicSpec
from penstock.model.message import Message, Placed
from penstock.model.statement import Program
from penstock.stores.sql.dialect import Dialect
from penstock.stores.sql.placing import ranks

Write: TypeAlias = Callable[[int], Program[list[Placed]]]


class Kept:
    """Filled by the user's threads, emptied by the transaction's."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._messages: deque[Message] = deque()
        self._events: deque[tuple[TopicSpec, Event]] = deque()
        self.ranks: set[tuple[str, int]] = set()
        """Queues and ranks to which messages came that may start at once."""

    def __bool__(self) -> bool:
        return bool(self._messages or self._events)

    def put(self, messages: Sequence[Message]) -> list[Placed] | Write:
        """Keep them; or, where an id is given or a unique name wanted, the write that says whether it is free."""
        self.ranks |= ranks(messages)
        if any(message.asks for message in messages):
            return lambda now: self._dialect.put(messages, now)
        self._messages += messages
        return [Placed(message.id) for message in messages]

    def publish(self, topic: TopicSpec, events: Sequence[Event]) -> list[Placed] | Write:
        if any(event.given for event in events):
            return lambda now: self._dialect.publish(topic, events, now)
        self._events += [(topic, event) for event in events]
        return [Placed(event.id) for event in events]

    @property
    def only_messages(self) -> Sequence[Message]:
        """All there is, if that is messages."""
        return () if self._events else tuple(self._messages)

    def clear(self) -> None:
        self._messages.clear()
        self._events.clear()

    def write(self, now: int) -> Program[bool]:
        """Whether there was anything."""
        messages = [self._messages.popleft() for _ in range(len(self._messages))]
        if messages:
            yield from self._dialect.put(messages, now)
        topics: dict[TopicSpec, list[Event]] = {}
        for topic, event in [self._events.popleft() for _ in range(len(self._events))]:
            topics.setdefault(topic, []).append(event)
        for topic, events in topics.items():
            yield from self._dialect.publish(topic, events, now)
        return bool(messages or topics)
