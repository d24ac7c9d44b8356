"""What happened, as the topics carry it, and what it comes to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias


@dataclass(frozen=True)
class OrderPlaced:
    order: int
    user: str
    product: str
    quantity: int


@dataclass(frozen=True)
class UserCreated:
    user: str
    address: str


@dataclass(frozen=True)
class EmailUpdated:
    user: str
    address: str


@dataclass(frozen=True)
class UserDeleted:
    user: str


AccountEvent: TypeAlias = UserCreated | EmailUpdated | UserDeleted


def address_after(events: Iterable[AccountEvent]) -> str | None:
    """Of an account, when these events have happened. None: there is no such account."""
    return reduce(_apply, events, None)


def _apply(_: str | None, event: AccountEvent) -> str | None:
    match event:
        case UserCreated(address=address) | EmailUpdated(address=address):
            return address
        case UserDeleted():
            return None
