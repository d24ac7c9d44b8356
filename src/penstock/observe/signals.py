"""The switchboard between the engine and whoever listens: logs, metrics, the worker's screen, tests."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeAlias

from penstock.model.events import Event

Listener: TypeAlias = Callable[[Event], None]

_log = logging.getLogger("penstock")


class Signals:
    """One per App, passed in. Listeners are called on the thread that emits; what they raise is logged and goes no further."""

    def __init__(self, faults: Callable[[str], None] | None = None) -> None:
        self.detailed = False
        self._faults = faults
        self._listeners: tuple[tuple[Listener, bool], ...] = ()
        self._lock = threading.Lock()

    def listen(self, callback: Listener, *, detailed: bool = False) -> Callable[[], None]:
        """Call `callback` for each event from now on; `detailed`: also for `Started` and `Ended`. Returns the undo."""
        entry = (callback, detailed)
        self._change(lambda listeners: (*listeners, entry))
        return lambda: self._change(lambda listeners: tuple(one for one in listeners if one is not entry))

    def emit(self, event: Event) -> None:
        for callback, _ in self._listeners:
            try:
                callback(event)
            except Exception:
                _log.exception("a listener of %s failed", type(event).__name__)

    def reach(self, point: str) -> None:
        """`faults` may raise here, or kill the process: that is what it is for."""
        if self._faults is not None:
            self._faults(point)

    def _change(self, change: Callable[[tuple[tuple[Listener, bool], ...]], tuple[tuple[Listener, bool], ...]]) -> None:
        with self._lock:
            self._listeners = change(self._listeners)
            self.detailed = any(detailed for _, detailed in self._listeners)
