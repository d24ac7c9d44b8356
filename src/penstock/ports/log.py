"""Facts to be read by many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from penstock.model.log import Append, Event, Fed, Recorded, Span, SubscriptionSpec, TopicSpec
from penstock.model.message import Placed


class Log(Protocol):
    """Append-only topics. The order of a topic is that in which transactions committed; nothing commits below a position that
    was read or fed.

    A subscription has a cursor and a queue of its own name. `feed` moves the cursor on and, in the same transaction, puts a
    message for each event there; from then on it is a message like any other, whose body is the event's.
    """

    async def declare(self, subscriptions: Sequence[SubscriptionSpec], topics: Sequence[TopicSpec] = ()) -> None:
        """What this program's code says of them. A subscription's `start` counts at its first registration only."""
        ...

    async def publish(self, topic: TopicSpec, events: Sequence[Event]) -> list[Placed]:
        """Keep all of them or none. Durable when it returns. Raises StoreError; PublishUnknown if the reply was lost."""
        ...

    async def append(self, append: Append) -> int:
        """The key's new version. Raises VersionConflict. The same given ids again: the result of the first time."""
        ...

    async def read_key(self, topic: str, key: str, span: Span) -> list[Recorded]: ...

    async def read(self, topic: str, after: int, limit: int) -> list[Recorded]:
        """Events behind the position `after`, in their order."""
        ...

    async def feed(self, subscription: str, limit: int) -> Fed:
        """Read up to `limit` events for it. Raises NotFound."""
        ...

    async def seek(self, subscription: str, position: int) -> int:
        """Go on behind `position`: what was fed and has not begun is dropped, what runs ends. Returns how many were dropped."""
        ...

    async def drop(self, subscription: str) -> int:
        """Forget it: its topic need not keep events for it any more. As a seek, what it was fed and has not begun is dropped.
        Returns how many that were. Raises NotFound."""
        ...

    async def trim(self, limit: int) -> int:
        """Forget up to `limit` events that their topics need not keep. Returns how many went."""
        ...
