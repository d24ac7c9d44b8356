"""A child of the demo lives no longer than the demo.

Its standard input is a pipe that only the demo holds open. When the demo ends, however it ends, the pipe does too; the child then
gets the SIGTERM that it would have got, and a while later it is gone in any case.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time

PATIENCE = 40.0


def tie() -> None:
    threading.Thread(target=_watch, name="demo-tie", daemon=True).start()


def _watch() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(1)


def told_to_stop() -> asyncio.Event:
    """Set by SIGTERM. Called on the running loop."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    return stop


def ready(**facts: object) -> None:
    """Tell the demo that this child can be used, and where."""
    print(json.dumps(facts), flush=True)
