"""What a handler's function allows: where it runs, how long, with how much memory, and what it is called."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from penstock.api import place
from penstock.api.definition import DEFAULT_TIMEOUT
from penstock.api.options import positive
from penstock.api.signature import Signature
from penstock.errors import ConfigurationError
from penstock.model.clock import Duration
from penstock.model.retry import Retry
from penstock.ports.handler import Isolation

_UNITS: Mapping[str, int] = MappingProxyType({"kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30})
_AMOUNT = re.compile(rf"([0-9]+(?:\.[0-9]+)?) ?({'|'.join(_UNITS)})", re.ASCII)
LEAST_MEMORY = 32 * 10**6
"""Bytes: Python alone, with Penstock and the store's driver, takes about as much."""


def name_of(function: Callable[..., Any]) -> str:
    return function.__name__ if inspect.isfunction(function) else repr(function)


def locals_of(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Names that annotations of a function defined inside another may mean."""
    if not inspect.isfunction(function) or "<locals>" not in function.__qualname__:
        return {}
    frame = place.outside()
    return dict(frame.f_locals) if frame is not None else {}


def checked_retry(what: str, retry: object) -> Retry:
    """The default policy for None. Raises ConfigurationError."""
    if retry is not None and not isinstance(retry, Retry):
        raise ConfigurationError(f"{place.caller()}: {what}(retry={retry!r}): pass a Retry, e.g. Retry(attempts=3)")
    return retry or Retry()


def isolation_of(signature: Signature, wanted: str | None) -> Isolation:
    fitting: Isolation = "loop" if signature.asynchronous else "thread"
    if wanted == "process":
        if signature.transactional:
            raise _refused(
                signature,
                "a handler with isolation='process' cannot take tx: its worker acknowledges, in another process; use app.transaction()",
            )
        return "process"
    if wanted in (None, fitting):
        return fitting
    problem = {
        "loop": "isolation='loop' is for async def; a def would block the event loop",
        "thread": "isolation='thread' is for def; an async def runs on the event loop",
    }.get(wanted or "", f"isolation={wanted!r}: 'loop', 'thread' or 'process'")
    raise _refused(signature, problem)


def memory_of(signature: Signature, isolation: Isolation, wanted: object) -> int | None:
    """Bytes."""
    if wanted is None:
        return None
    if isolation != "process":
        raise _refused(signature, f"memory={wanted!r} needs isolation='process': only a child process can be held to it")
    amount = _AMOUNT.fullmatch(wanted) if isinstance(wanted, str) else None
    if amount is None:
        raise _refused(signature, f"memory={wanted!r}: write a number and a unit, e.g. '512MB'; the units are {', '.join(_UNITS)}")
    size = round(float(amount[1]) * _UNITS[amount[2]])
    if size < LEAST_MEMORY:
        raise _refused(signature, f"memory={wanted!r}: at least 32MB, which Python needs before the handler begins")
    return size


def timeout_of(signature: Signature, isolation: Isolation, timeout: Duration | None) -> float | None:
    """Seconds."""
    if timeout is None:
        return None if isolation == "thread" else DEFAULT_TIMEOUT
    return None if timeout == math.inf else positive(f"{signature.place}: task(timeout=…)", timeout)


def _refused(signature: Signature, problem: str) -> ConfigurationError:
    return ConfigurationError(f"{signature.place}: task {signature.task!r}: {problem}")
