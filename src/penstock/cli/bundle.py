"""Options of one kind that reach a command as one value."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]


def bundled(parameter: str, make: Callable[..., object], *options: Decorator) -> Decorator:
    """The command gets `parameter=make(…)`; `make` takes what the options are called."""
    names = tuple(inspect.signature(make).parameters)

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(**given: Any) -> Any:
            value = make(**{name: given.pop(name) for name in names})
            return command(**{parameter: value}, **given)

        dressed: Callable[..., Any] = run
        for option in reversed(options):
            dressed = option(dressed)
        return dressed

    return decorate
