"""More handlers in child processes, which the app's module does not know of."""

from __future__ import annotations

import os

from apart import ONCE, app

if "APART_MORE_BROKEN" in os.environ:
    raise RuntimeError("no good there")


@app.task(isolation="process", retry=ONCE)
def elsewhere() -> int:
    return os.getpid()
