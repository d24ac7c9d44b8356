"""Proof of life: one daemon thread per worker, which also watches the event loop.

- It beats every third of a lease, whatever the loop does, so a blocked loop alone does not lose the lease.
- A beat that finds the incarnation declared dead ends the thread and tells the loop: what is held is another's now.
- The loop blocked for 5 s: `LoopBlocked` with what it is doing, which a beat writes into the registry. For `stall_limit`: the
  process exits 70, at once and without any clean-up, so that its work is rescued, and counts a death. A thread that was stopped
  itself (SIGSTOP) blames nobody.
- `last` is the beginning of the last beat that was written: a rescuer cannot have seen an older one later than that. `written` is its end:
  the last moment of which is known that the store could be written.
- Crash: the beats end, and a rescuer finds the beat unchanged for a lease (or the lock file free, at once).
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections.abc import Callable

from msgspec import Struct

from penstock.engine.stacks import of_thread
from penstock.engine.ties import Ties
from penstock.model.events import LoopBlocked

BLOCKED = 5.0
EXIT_STALLED = 70
_STOP_PATIENCE = 1.0


class Vitals(Struct, frozen=True):
    """Seconds, and what is put in by tests."""

    lease: float
    stall_limit: float
    blocked: float = BLOCKED
    monotonic: Callable[[], float] = time.monotonic
    exit: Callable[[int], object] = os._exit

    @property
    def interval(self) -> float:
        return self.lease / 3

    @property
    def step(self) -> float:
        return min(self.interval, self.blocked / 5, self.stall_limit / 4)


class Beat:
    def __init__(self, beat: Callable[[str], bool], vitals: Vitals, ties: Ties) -> None:
        """`beat` blocks until it is written, and is given what blocks the loop, if anything; False: declared dead.

        Made on the loop that is watched.
        """
        self.last = self.written = vitals.monotonic()
        self.pace = math.inf
        """Seconds from one beat to the next at the most: somebody wants to know whether the store can be written."""
        self._beat = beat
        self._vitals = vitals
        self._ties = ties
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        self._next = self._tried = self.last
        self._stepped = self.last
        self._pinged: float | None = None
        self._blocked = ""
        self._halt = threading.Event()
        self._ended = asyncio.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None:
            self._halt.clear()
            self._ended.clear()
            self._thread = threading.Thread(target=self._live, name="penstock-beat", daemon=True)
            self._thread.start()

    async def stop(self) -> None:
        """A beat that hangs in the store is not waited for: the thread ends when it can."""
        if self._thread is None:
            return
        self._halt.set()
        try:
            async with asyncio.timeout(_STOP_PATIENCE):
                await self._ended.wait()
        except TimeoutError as error:
            self._ties.trouble("beat", error)
        self._thread = None

    def step(self) -> None:
        """What the thread does again and again."""
        now = self._vitals.monotonic()
        self._watch(now)
        if now >= min(self._next, self._tried + self.pace):
            self._beat_once(now)

    def rest(self) -> float:
        """Seconds until the next step."""
        return max(0.0, min(self._vitals.step, self.pace, self._next - self._vitals.monotonic()))

    def _live(self) -> None:
        while not self._halt.is_set():
            try:
                self.step()
            except Exception as error:
                self._ties.trouble("beat", error)
            self._halt.wait(self.rest())
        self._on_loop(self._ended.set)

    def _beat_once(self, now: float) -> None:
        self._next, self._tried = now + self._vitals.interval, now
        try:
            lives = self._beat(self._blocked)
        except Exception as error:
            self._next = now + self._vitals.step
            self._ties.trouble("beat", error)
            return
        if lives:
            self.last, self.written = now, self._vitals.monotonic()
        elif not self._halt.is_set():
            self._halt.set()
            self._on_loop(self._ties.lost)

    def _watch(self, now: float) -> None:
        stopped = now - self._stepped > 3 * self._vitals.step + 1
        self._stepped = now
        if self._pinged is None or stopped:
            self._pinged = now
            self._on_loop(self._answer)
            return
        blocked = now - self._pinged
        if blocked >= self._vitals.blocked and not self._blocked:
            self._blocked = of_thread(self._watched)
            self._ties.emit(LoopBlocked(blocked, self._blocked))
            self._next = now
        if blocked >= self._vitals.stall_limit:
            self._ties.emit(LoopBlocked(blocked, of_thread(self._watched)))
            self._vitals.exit(EXIT_STALLED)

    def _answer(self) -> None:
        self._pinged = None
        self._blocked = ""

    def _on_loop(self, tell: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(tell)
        except RuntimeError:  # the loop is closed, and with it the worker
            self._halt.set()
