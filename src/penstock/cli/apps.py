"""The user's app: imported only by the commands that run its code."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TypeVar

from penstock.app import App, load_app
from penstock.connect import load_module
from penstock.errors import ConfigurationError, PenstockError

T = TypeVar("T")


def load(target: str) -> App:
    """Raises ConfigurationError, in one sentence, whatever went wrong in the user's modules."""
    return _loaded(load_app, target)


def load_handlers(module: str) -> None:
    """As `load`. One that no import finds is passed over: maybe the app made it in another way, and its tasks are known."""
    _loaded(load_module, module)


def _loaded(load: Callable[[str], T], target: str) -> T:
    try:
        return load(target)
    except PenstockError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigurationError(f"cannot import {target}: {_place(error)}{type(error).__name__}: {error}") from error


def _place(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return ""  # says it itself
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    return f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
