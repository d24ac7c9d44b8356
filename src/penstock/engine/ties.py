"""What every part of a worker is tied to: who is told, chance, and whom to tell when the lease is lost."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from msgspec import Struct

from penstock.model.events import Event, Trouble
from penstock.ports.signals import Signals


class Ties(Struct, frozen=True):
    """Of one incarnation."""

    signals: Signals
    random: Random
    lost: Callable[[], None]
    """This incarnation was declared dead. On the loop's thread; may be called often."""

    def emit(self, event: Event) -> None:
        self.signals.emit(event)

    def trouble(self, where: str, error: BaseException) -> None:
        self.signals.emit(Trouble(where, error))
