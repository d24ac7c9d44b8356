"""Where code stands, as text."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
import traceback
from collections.abc import Iterator


def of_thread(ident: int) -> str:
    frame = sys._current_frames().get(ident)
    return "".join(traceback.format_stack(frame)) if frame else ""


def of_coroutine(coroutine: object) -> str:
    """Down the chain of awaits, the innermost last: the stack of the loop's thread does not say."""
    return "".join(_waits(coroutine))


def awaited(coroutine: object) -> object:
    """What it waits for in the end, if that is a future. Found by looking, so that whoever waits has nothing to note down."""
    while inspect.iscoroutine(coroutine):
        coroutine = coroutine.cr_await
    return next((each for each in gc.get_referents(coroutine) if asyncio.isfuture(each)), None)


def _waits(coroutine: object) -> Iterator[str]:
    while inspect.iscoroutine(coroutine):
        if coroutine.cr_frame is not None:
            yield from traceback.format_stack(coroutine.cr_frame, 1)
        coroutine = coroutine.cr_await
