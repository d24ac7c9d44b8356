"""Watches over the worker processes.

- A child that dies is followed by another: at once the first time, then with a growing pause.
- What would be wrong again in the same way (exit code 78: an app that cannot be imported) stops all, told once. So does a store
  that cannot be used (69) before any child was ever ready; later it is a reason to start again with a pause.
- SIGTERM, SIGINT, SIGHUP: children finish what runs within the shutdown timeout. A second one: they release it now. Whoever has
  not ended a while after that is killed, and the exit code is not 0.
- The parent dies: its ends of the tethers close, and each child stops by itself.
"""

from __future__ import annotations

import faulthandler
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence

from penstock import connect
from penstock.cli import exits
from penstock.cli.supervision.bell import Bell, listening
from penstock.cli.supervision.order import Order
from penstock.cli.supervision.slot import Death, Slot, Spawn, spawner
from penstock.cli.supervision.tether import Failed, Ready, Word
from penstock.cli.words import length
from penstock.config import masked
from penstock.errors import PenstockError

_STOPS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_HOPELESS = frozenset({exits.USAGE, exits.CONFIG})
_SPARE = 15.0
"""Seconds beyond the shutdown timeout that a child may take to write its last ends and leave."""
_SPARE_NOW = 10.0

_log = logging.getLogger("penstock.supervision")


class Parent:
    def __init__(self, order: Order, spawn: Spawn | None = None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._order = order
        self._monotonic = monotonic
        self._slots = [Slot(number, order, spawn or spawner(order.app), monotonic) for number in range(1, order.processes + 1)]
        self._requests = 0
        self._deadline: float | None = None
        self._worked = False
        self._store = ""
        self._verdict: Failed | None = None
        self._failures: dict[int, Failed] = {}

    def run(self) -> int:
        """The exit code."""
        with listening() as bell:
            for slot in self._slots:
                slot.start()
            while any(slot.running or slot.again is not None for slot in self._slots):
                self._step(bell)
        return self._code()

    def _step(self, bell: Bell) -> None:
        for number in bell.wait([slot.tether for slot in self._slots if slot.tether is not None], self._rest()):
            self._on_signal(number)
        for slot in self._slots:
            death = slot.reap()
            for word in slot.hear():
                self._on_word(slot, word)
            if death is not None:
                self._on_death(slot, death)
        for slot in self._slots:
            slot.start_if_due()
        self._kill_the_late()

    def _rest(self) -> float | None:
        times = [slot.again for slot in self._slots if slot.again is not None]
        if self._deadline is not None:
            times.append(self._deadline)
        return max(0.0, min(times) - self._monotonic()) if times else None

    # -- news

    def _on_signal(self, number: int) -> None:
        if number in _STOPS:
            self._requests += 1
            self._tell_stopping(number)
            self._stop(now=self._requests > 1)
        elif number == signal.SIGUSR1:
            faulthandler.dump_traceback(all_threads=True)
            for slot in self._slots:
                slot.send(signal.SIGUSR1)

    def _on_word(self, slot: Slot, word: Word) -> None:
        match word:
            case Ready(store, queues):
                if not self._worked:
                    self._announce(masked(store), queues)
                self._worked = True
                self._store = store
            case Failed():
                self._failures[slot.number] = word

    def _on_death(self, slot: Slot, death: Death) -> None:
        failed = self._failures.pop(slot.number, None)
        if self._stopping:
            slot.again = None
            if death.status and not (self._verdict is not None and death.status == self._verdict.code):
                _log.error("worker %d (pid %d) %s while it was to stop", slot.number, death.pid, death.how)
            return
        if death.status in _HOPELESS or (death.status == exits.UNAVAILABLE and not self._worked):
            self._give_up(failed or Failed(death.status, f"worker {slot.number} (pid {death.pid}) {death.how}"))
            return
        self._rescue()
        pause = max(0.0, (slot.again or 0.0) - self._monotonic())
        why = f" ({failed.message})" if failed else ""
        following = f"the next one starts in {length(pause)}" if pause else "another one starts"
        _log.warning("worker %d (pid %d) %s%s after %s; %s", slot.number, death.pid, death.how, why, length(death.lived), following)

    def _rescue(self) -> None:
        """At once, should no other worker be left to do it. On a thread: the store may make it wait."""
        if self._store:
            threading.Thread(target=rescue, args=(self._store,), name="penstock-rescue", daemon=True).start()

    # -- ends

    @property
    def _stopping(self) -> bool:
        return self._requests > 0 or self._verdict is not None

    def _tell_stopping(self, number: int) -> None:
        name, patience = signal.Signals(number).name, length(self._order.shutdown_timeout)
        if self._requests == 1:
            _log.info("%s: stopping; what runs may end within %s, a second one gives it back at once", name, patience)
        elif self._requests == 2:
            _log.info("%s again: giving back what runs", name)

    def _give_up(self, verdict: Failed) -> None:
        self._verdict = verdict
        _log.error("%s", verdict.message)
        self._stop(now=False)

    def _stop(self, *, now: bool) -> None:
        spare = _SPARE_NOW if now else self._order.shutdown_timeout + _SPARE
        self._deadline = self._monotonic() + spare
        for slot in self._slots:
            slot.stop(now=now)

    def _kill_the_late(self) -> None:
        if self._deadline is not None and self._monotonic() >= self._deadline:
            self._deadline = None
            for slot in self._slots:
                slot.kill()

    def _code(self) -> int:
        """0 only if the last process in each slot ended well."""
        if self._verdict is not None:
            return self._verdict.code
        ends = [slot.last.status for slot in self._slots if slot.last is not None]
        if any(status < 0 for status in ends):
            return exits.FAILED
        return max(ends, default=exits.OK)

    def _announce(self, store: str, queues: Sequence[str]) -> None:
        order = self._order
        many = f"{order.processes} × {order.concurrency}" if order.processes > 1 else str(order.concurrency)
        _log.info("%s: %s jobs at once from %s on %s", order.app, many, ", ".join(queues) or "no queue", store)


def rescue(store: str) -> None:
    try:
        connect.rescue(store)
    except PenstockError as error:
        _log.warning("what the dead worker held could not be taken back here; the next worker does it (%s)", error)


def supervise(order: Order) -> int:
    faulthandler.enable()
    sys.stdout.flush()
    return Parent(order).run()
