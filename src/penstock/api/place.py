"""Where in the user's code something was defined, for error messages."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any

_PACKAGE = str(Path(__file__).resolve().parent.parent)


def of(function: Callable[..., Any]) -> str:
    """`file:line` of a function."""
    if isinstance(function, FunctionType):
        return f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"
    return caller()


def caller() -> str:
    """`file:line` of the nearest frame outside Penstock."""
    frame = outside()
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "<unknown>"


def outside() -> FrameType | None:
    """The nearest frame outside Penstock."""
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame
