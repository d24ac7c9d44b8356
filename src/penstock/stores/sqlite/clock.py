"""Store time on one machine: an anchor in the store and the time since boot.

`now = max(floor, shift + time since boot)`. The first opener of a boot writes the anchor from the wall clock; the maintenance
leader moves it when the wall clock was set: forward at once, backward by standing still at `floor` until the wall clock has
caught up. Every process of the machine reads the same anchor, so they agree to the microsecond, and time never goes back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from penstock.model.clock import WallClock
from penstock.model.statement import Program, Statement

_TOLERATED = 50_000
"""µs that the wall clock may be off before the anchor moves: NTP slews more gently than that."""


def since_boot() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return "unknown"


class StoreClock:
    """Implements `Clock`. Wall and boot clock are arguments, so that tests own them."""

    def __init__(self, wall: Callable[[], int] | None = None, boot: Callable[[], int] = since_boot, boot_name: str | None = None) -> None:
        self._wall = wall or WallClock().now
        self._boot = boot
        self._name = boot_name or boot_id()
        self._shift = self._wall() - boot()
        self._floor = 0

    def now(self) -> int:
        return max(self._floor, self._shift + self._boot())

    def load(self) -> Program[bool]:
        """Read the anchor. False: there is none yet."""
        rows = yield Statement("clock", {"boot": self._name})
        if rows:
            self._shift, self._floor = rows[0]
        return bool(rows)

    def anchor(self) -> Program[None]:
        """Read the anchor, or write it if this is the first opening since boot."""
        if (yield from self.load()):
            return
        latest = (yield Statement("latest_floor"))[0][0] or 0
        self._shift = self._wall() - self._boot()
        self._floor = latest
        yield from self._write()

    def adjust(self) -> Program[None]:
        """Follow the wall clock, from where another leader may have moved the anchor. Only the maintenance leader does this."""
        yield from self.load()
        ahead = self._wall() - (self._shift + self._boot())
        if abs(ahead) <= _TOLERATED:
            return
        self._floor = self.now()
        self._shift += ahead
        yield from self._write()

    def _write(self) -> Program[None]:
        yield Statement("set_clock", {"boot": self._name, "shift": self._shift, "floor": max(self._floor, self.now())})
