"""Crashes, without ending the test's process.

A crash is a handle of the store that is cut: at the point that was armed, and from then on wherever that handle would begin or
end a commit, `Crashed` is raised, so the transaction under way is rolled back and no later one happens, by whichever thread. The
worker is aborted; its handle is closed, which frees its lock file, as the death of a process does. What it held is found leased
to an incarnation that is gone, and is rescued by the next worker, on a handle of its own.

What differs from SIGKILL: a coroutine under way is cancelled, so its `finally` blocks run; a thread goes on to its end. Neither can
write to the store any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from difflib import get_close_matches

from penstock.errors import ConfigurationError, StoreUnavailable
from penstock.model.events import Event
from penstock.ports.signals import POINTS, Signals


class Crashed(StoreUnavailable):
    """The simulated process is dead: nothing of it reaches the store any more."""


class Faults:
    """The points at which the next processes crash. They count only while a worker of the kit runs."""

    def __init__(self) -> None:
        self.live = False
        self._armed: Counter[str] = Counter()

    def arm(self, point: str, times: int) -> None:
        """Raises ConfigurationError for a point that does not exist."""
        if point not in POINTS:
            near = get_close_matches(point, POINTS, n=3)
            raise ConfigurationError(f"crash_at({point!r}): there is no such point{'; near: ' + ', '.join(near) if near else ''}")
        if times < 1:
            raise ConfigurationError(f"crash_at(times={times!r}): at least 1")
        self._armed[point] += times

    def left(self) -> list[str]:
        """Points that no process has reached."""
        return sorted(+self._armed)

    def take(self, point: str) -> bool:
        if not self.live or not self._armed[point]:
            return False
        self._armed[point] -= 1
        return True


class Wire:
    """`Signals` of one simulated process: passes on what happens, until the process crashes."""

    detailed = True

    def __init__(self, inner: Signals, note: Callable[[Event], None], faults: Faults) -> None:
        self.crashed: Callable[[], None] = lambda: None
        """Called on the thread that reached the point."""
        self.dead = False
        self._inner = inner
        self._note = note
        self._faults = faults

    def emit(self, event: Event) -> None:
        if not self.dead:
            self._note(event)
            self._inner.emit(event)

    def reach(self, point: str) -> None:
        if not self.dead:
            self._inner.reach(point)
            if not self._faults.take(point):
                return
            self.dead = True
            self.crashed()
        raise Crashed(f"the process crashed (simulated), before {point}")
