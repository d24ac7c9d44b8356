"""The user's app: imported only by the commands that run its code."""

from __future__ import annotations

import traceback

from penstock.app import App, load_app
from penstock.errors import ConfigurationError, PenstockError


def load(target: str) -> App:
    """Raises ConfigurationError, in one sentence, whatever went wrong in the user's modules."""
    try:
        return load_app(target)
    except PenstockError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigurationError(f"cannot import {target}: {_place(error)}{type(error).__name__}: {error}") from error


def _place(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return ""  # says it itself
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    return f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
