"""Store time on one machine: an anchor in the store and the time since boot.

`now = max(floor, shift + time since boot)`. The first opener of a boot writes the anchor from the wall clock; the maintenance
leader moves it when the wall clock was set: forward at once, backward by standing still at `floor` until the wall clock has
caught up. Every process of the machine reads the same anchor in each transaction that writes, so what is stored is stored at one
time, to the microsecond, and that never goes back. Between its transactions a process has the anchor of its last one: what must be
right to the second is reckoned inside of them (`Message.delay`).
"""

from __future__ import annotations

from collections.abc import Callable

from penstock.model.clock import WallClock
from penstock.model.statement import Program, Statement
from penstock.stores.sql.boot import boot_id, since_boot

_TOLERATED = 50_000
"""µs that the wall clock may be off before the anchor moves: NTP slews more gently than that."""


class StoreClock:
    """Implements `Clock`. Wall and boot clock are arguments, so that tests own them."""

    def __init__(self, wall: Callable[[], int] | None = None, boot: Callable[[], int] = since_boot, boot_name: str | None = None) -> None:
        self._wall = wall or WallClock().now
        self._boot = boot
        self._name = boot_name or boot_id()
        self._anchor = (self._wall() - boot(), 0)
        """Shift and floor: one value, because several threads read it anew."""

    def now(self) -> int:
        shift, floor = self._anchor
        return max(floor, shift + self._boot())

    def load(self) -> Program[bool]:
        """Read the anchor. False: there is none yet."""
        rows = yield Statement("clock", {"boot": self._name})
        if rows:
            shift, floor = rows[0]
            self._anchor = (shift, floor)
        return bool(rows)

    def anchor(self) -> Program[None]:
        """Read the anchor, or write it if this is the first opening since boot."""
        if (yield from self.load()):
            return
        latest = (yield Statement("latest_floor"))[0][0] or 0
        self._anchor = (self._wall() - self._boot(), latest)
        yield from self._write()

    def adjust(self) -> Program[None]:
        """Follow the wall clock, from where another leader may have moved the anchor. Only the maintenance leader does this."""
        yield from self.load()
        shift = self._anchor[0]
        ahead = self._wall() - (shift + self._boot())
        if abs(ahead) <= _TOLERATED:
            return
        self._anchor = (shift + ahead, self.now())
        yield from self._write()

    def _write(self) -> Program[None]:
        yield Statement("set_clock", {"boot": self._name, "shift": self._anchor[0], "floor": self.now()})
