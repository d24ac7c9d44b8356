"""What each dialect does in its own way: programs that live on one writer, or on many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from penstock.model.delivery import Settlement
from penstock.model.log import Append, Event, Fed, Holder, Recorded, TopicSpec
from penstock.model.message import Message, Placed
from penstock.model.statement import Program, Rows
from penstock.ports.queue import Claim, Claimed
from penstock.stores.sql.appending import Result

Put: TypeAlias = Callable[[Sequence[Message], int], Program[list[Placed]]]


class Settled(Struct, frozen=True):
    lost: Sequence[int]
    """The seqs that the owner did not hold any more."""
    heard: Rows
    """(job, bell): whom to ring when this is committed."""


class Dialect(Struct, frozen=True):
    """The last argument of what writes is the store's time."""

    put: Put
    settle: Callable[[int, Sequence[Settlement], int], Program[Settled]]
    claim: Callable[[Claim, int], Program[Claimed]]
    publish: Callable[[TopicSpec, Sequence[Event], int], Program[list[Placed]]]
    append: Callable[[TopicSpec, Sequence[Append], int], Program[list[Result]]]
    """For each, in their order: the key's new version, or why not."""
    read: Callable[[str, int, int], Program[list[Recorded]]]
    """Of a topic, behind a position, so many events."""
    feed: Callable[[str, int, int], Program[Fed]]
    trim: Callable[[int, int], Program[int]]
    position_at: Callable[[str, int], Program[int]]
    who_holds: Callable[[], Program[Holder | None]]
    """Who holds the feeds back now."""
    alone: Callable[[str], Program[None]]
    """From here to its end nobody else's transaction does what is called so."""

    def append_one(self, append: Append, now: int) -> Program[Result]:
        return (yield from self.append(append.topic, [append], now))[0]
