"""What is read of a topic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Generic, TypeVar

from msgspec import Struct

from penstock.model.clock import to_datetime
from penstock.model.log import Recorded

E = TypeVar("E")


class History(tuple[E, ...]):
    """The events of one key, the oldest first; `version` is what `append(expected=…)` wants.

    account = reduce(apply, history, Account())
    await accounts.append(key, decide(account), expected=history.version)
    """

    version: int

    def __new__(cls, events: Iterable[E] = (), version: int = 0) -> History[E]:
        history = super().__new__(cls, events)
        history.version = version
        return history


class Record(Struct, Generic[E], frozen=True, gc=False):
    """One event of a topic, and what is known of it."""

    event: E
    raw: Recorded
    """As it is kept, with the JSON of the event."""

    @property
    def id(self) -> str:
        return self.raw.id

    @property
    def type(self) -> str:
        """The name under which its type is stored."""
        return self.raw.type

    @property
    def key(self) -> str | None:
        return self.raw.key

    @property
    def version(self) -> int | None:
        """In its key, from 1; in a versioned topic."""
        return self.raw.version

    @property
    def position(self) -> int:
        """In its topic, from 1, in the order in which transactions committed."""
        return self.raw.position

    @property
    def at(self) -> datetime:
        """When it was published, by the store's clock."""
        return to_datetime(self.raw.at)

    @property
    def headers(self) -> Mapping[str, str]:
        return self.raw.headers
