"""What surrounds `def` handlers where they run: on a thread, which middleware on the event loop cannot reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import wraps
from typing import Any, TypeAlias

Around: TypeAlias = Callable[[], AbstractContextManager[object]]


def within(managers: Sequence[Around], function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, inside of these context managers, the first one outermost. Without any it stays as it is."""
    if not managers:
        return function

    @wraps(function)
    def surrounded(*args: Any, **kwargs: Any) -> Any:
        with ExitStack() as stack:
            for manager in managers:
                stack.enter_context(manager())
            return function(*args, **kwargs)

    return surrounded
