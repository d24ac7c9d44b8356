"""What a handler's function allows: where it runs, how long, and what it is called."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

from penstock.api import place
from penstock.api.options import positive
from penstock.api.route import DEFAULT_TIMEOUT
from penstock.api.signature import Signature
from penstock.errors import ConfigurationError
from penstock.model.clock import Duration
from penstock.ports.handler import Isolation


def name_of(function: Callable[..., Any]) -> str:
    return function.__name__ if inspect.isfunction(function) else repr(function)


def locals_of(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Names that annotations of a function defined inside another may mean."""
    if not inspect.isfunction(function) or "<locals>" not in function.__qualname__:
        return {}
    frame = place.outside()
    return dict(frame.f_locals) if frame is not None else {}


def isolation_of(signature: Signature, wanted: str | None) -> Isolation:
    fitting: Isolation = "loop" if signature.asynchronous else "thread"
    if wanted in (None, fitting):
        return fitting
    problem = {
        "loop": "isolation='loop' is for async def; a def would block the event loop",
        "thread": "isolation='thread' is for def; an async def runs on the event loop",
        "process": "isolation='process' is not available in this version",
    }.get(wanted or "", f"isolation={wanted!r}: 'loop' or 'thread'")
    raise ConfigurationError(f"{signature.place}: task {signature.task!r}: {problem}")


def timeout_of(signature: Signature, timeout: Duration | None) -> float | None:
    if timeout is None:
        return DEFAULT_TIMEOUT if signature.asynchronous else None
    return None if timeout == math.inf else positive(f"{signature.place}: task(timeout=…)", timeout)
