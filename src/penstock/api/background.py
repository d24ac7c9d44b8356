"""A loop on a thread of its own, for programs that have none: Flask, Django, scripts."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Callable

_log = logging.getLogger("penstock")


class Background:
    """Runs from the first `.sync` use to the end of the process, or until the app is closed."""

    def __init__(self, at_exit: Callable[[], None]) -> None:
        self.loop = asyncio.new_event_loop()
        self._pid = os.getpid()
        self._at_exit = at_exit
        self._thread = threading.Thread(target=self._run, name="penstock-sync", daemon=True)
        self._started = threading.Event()
        self._thread.start()
        self._started.wait()
        atexit.register(self._exit)

    def stop(self) -> None:
        """Idempotent. Nothing may wait on the loop any more."""
        atexit.unregister(self._exit)
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            if self._thread is not threading.current_thread():
                self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.call_soon(self._started.set)
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()

    def _exit(self) -> None:
        """A courtesy: what was acknowledged is durable already, and a dying interpreter may lack what a close needs."""
        if self._pid == os.getpid():  # a fork inherits the registration, not the thread
            try:
                self._at_exit()
            except RuntimeError:
                _log.debug("the store was not closed at exit", exc_info=True)
