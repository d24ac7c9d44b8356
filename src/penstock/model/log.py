"""Facts: events in topics, and who reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from penstock.model.message import decode_headers

Start: TypeAlias = Literal["beginning", "now"]

COUNTED = 100_000
"""So many events, or more, where a store counts them."""


class TopicSpec(Struct, frozen=True):
    """A topic as code declares it. Durations in µs."""

    name: str
    versioned: bool = False
    """Each event has a version in its key, and is kept for ever."""
    retention: int | None = None
    """Older events go when every subscription has read them. None: none goes."""
    retention_max: int | None = None
    """Older events go in any case."""


class SubscriptionSpec(Struct, frozen=True):
    """A subscription as code declares it. Its name is also that of its queue, and of the task its messages are for."""

    name: str
    topic: TopicSpec
    app: str
    types: tuple[str, ...] | None = None
    """None: all."""
    start: Start = "now"
    """Where it begins when it is registered for the first time."""
    hold: bool = False
    """A message that dies keeps its key until it is replayed or discarded."""


class Event(Struct, frozen=True, gc=False):
    """One event to publish."""

    id: str
    type: str
    body: bytes
    key: str | None = None
    headers: bytes | None = None
    given: bool = False
    """The caller chose the id: a second one of it is the first one."""


class Recorded(Struct, frozen=True, gc=False):
    """One event of a topic, as it is kept."""

    position: int
    """From 1, in the order in which transactions committed; there may be gaps."""
    id: str
    type: str
    body: bytes
    at: int
    """µs."""
    key: str | None = None
    version: int | None = None
    """From 1, in a versioned topic."""
    raw_headers: bytes | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        return decode_headers(self.raw_headers)


class Append(Struct, frozen=True, gc=False):
    """Events for one key of a versioned topic. Never none."""

    topic: TopicSpec
    key: str
    events: Sequence[Event]
    expected: int | None
    """The version that the key must have: 0, a new one; None: any."""
    given: str | None = None
    """The id that the caller chose, in this key: a second append of it is the first one. Its events' ids are `id_of(1)`, …"""

    def id_of(self, number: int) -> str:
        return f"{self.given}#{self.key}:{number}"


class Conflict(Struct, frozen=True):
    """The key had another version than was expected; nothing was appended."""

    expected: int
    actual: int


class Reused(Struct, frozen=True):
    """The id was used in this key for another number of events; nothing was appended."""


class Span(Struct, frozen=True):
    """Which events of a key: versions `first` to `last`, and none after the moment `until` (µs)."""

    first: int = 1
    last: int | None = None
    until: int | None = None
    backward: bool = False
    limit: int | None = None


class Fed(Struct, frozen=True):
    """What a feed moved into the queue of a subscription."""

    count: int
    more: bool
    """There are more events to feed now."""
    full: bool = False
    """So many messages could run that no more are fed until some have."""
    held: bool = False
    """There are more, but a transaction that is open keeps them back. Nobody rings when a user ends it."""


class Holder(Struct, frozen=True):
    """The transaction that holds all feeds back the most: it has appended, and is open. Only where transactions append side by side."""

    floor: int
    """No feed passes this position."""
    pid: int | None
    """Its server process. None: a prepared transaction."""
    seconds: float | None
    """How old it is. None: this role may not see it (`pg_read_all_stats`); nor then `state`."""
    prepared: str | None = None
    """The name of the prepared transaction."""
    application: str | None = None
    """What its client calls itself."""
    state: str | None = None
    """`idle in transaction`, `active`, …"""

    @property
    def matters(self) -> bool:
        """It stands longer than appending takes."""
        return self.seconds is None or self.seconds >= 1

    @property
    def words(self) -> str:
        who = f"the prepared transaction {self.prepared!r}" if self.pid is None else f"pid {self.pid}"
        facts = ", ".join(filter(None, (self.application, self.state)))
        age = "" if self.seconds is None else f" for {self.seconds:.0f} s"
        return f"feeds are held back at position {self.floor}{age} by {who}{f' ({facts})' if facts else ''}, which has appended and is open"


class TopicView(Struct, frozen=True):
    name: str
    versioned: bool
    first: int
    """Position of the oldest event that is still there."""
    head: int
    """Position of the newest; 0: none yet."""
    retention: int | None
    """µs."""
    retention_max: int | None
    events: int
    """That are there. Where positions have gaps they are counted, up to `COUNTED`."""
    newest: int | None
    """µs: when the newest was published."""


class SubscriptionView(Struct, frozen=True):
    """How far a subscription is. Its lag is what is not fed yet and what waits in its queue."""

    name: str
    topic: str
    app: str
    types: tuple[str, ...] | None
    hold: bool
    cursor: int
    head: int
    generation: int
    unfed: int
    """Events after the cursor, of any type. Where positions have gaps they are counted, up to `COUNTED`."""
    oldest: int | None
    """µs: when the oldest event after the cursor was published."""
    missed: int
    """Events that went by age before they were read."""
