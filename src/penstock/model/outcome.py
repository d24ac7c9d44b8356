"""How a delivery ends: six values, matched exhaustively; in the engine also `Split`, of a batch whose rows end in different ways."""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

from msgspec import Struct

from penstock.model.clock import to_datetime


class Failure(Struct, frozen=True):
    """An error as it is kept: type name, text, traceback."""

    type: str
    message: str
    traceback: str = ""


class Done(Struct, frozen=True):
    """The handler returned. `result` is its encoded value; `unavailable` says why there is none to fetch."""

    result: bytes | None = None
    unavailable: str | None = None


class Committed(Struct, frozen=True):
    """A `tx` handler returned, and its transaction has settled it."""


class Failed(Struct, frozen=True):
    """Counted, and due again at `due` (µs)."""

    due: int
    error: Failure

    @property
    def at(self) -> datetime:
        return to_datetime(self.due)


class Snoozed(Struct, frozen=True):
    """Not counted, and due again at `due` (µs)."""

    due: int
    unwanted: bool = False
    """An event of a type that this release's subscription does not ask for: it waits for a worker that does. There is none: done."""

    @property
    def until(self) -> datetime:
        return to_datetime(self.due)


class Dead(Struct, frozen=True):
    """Goes to the dead letters."""

    reason: str
    error: Failure | None = None


class Released(Struct, frozen=True):
    """Not run, or stopped on our side (deploy, cancellation, lost lease): goes back uncounted."""


Outcome: TypeAlias = Done | Committed | Failed | Snoozed | Dead | Released


class Split(Struct, frozen=True):
    """Of a batch: an end for each of its rows, in their order. None: that row is run again at once."""

    ends: tuple[Outcome | None, ...]
    alone: bool = False
    """What is run again is run one by one, else together."""


Ending: TypeAlias = Outcome | Split
