"""Where the engine and the stores report what happens."""

from __future__ import annotations

from typing import Final, Protocol

from penstock.model.events import Event

POINTS: Final = (
    "claimed",
    "settle.begin",
    "settle.before_commit",
    "settle.after_commit",
    "put.before_commit",
    "put.after_commit",
    "publish.before_commit",
    "publish.after_commit",
    "append.before_commit",
    "append.after_commit",
    "feed.before_commit",
    "feed.after_commit",
    "fed",
    "schedule.before_commit",
    "schedule.after_commit",
    "write.begun",
    "tx.begun",
    "tx.before_commit",
    "tx.after_commit",
)
"""Of the code, by name: after a claim's commit; around the writing of ends, messages, events, feeds, slots, of
anything; around a handler's `tx`."""


class Signals(Protocol):
    """Owned by the App and passed in. Called on any thread; must not raise or block."""

    @property
    def detailed(self) -> bool:
        """Somebody listens to single deliveries: `Started` and `Ended` are worth making."""
        ...

    def emit(self, event: Event) -> None: ...

    def reach(self, point: str) -> None:
        """One of `POINTS` was reached: fault tests stop or kill the process here. Otherwise does nothing."""
        ...
