"""What it takes to make a child process. Light: whoever only enqueues loads it, too."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

LogFormat: TypeAlias = Literal["auto", "json", "text"]


class Home(Struct, frozen=True, tag="home"):
    """Where a child finds its app, and its worker. The first it is told, over its socket: a store's URL may hold a password."""

    target: str
    """`module:variable`, or `file.py:variable`."""
    store: str
    path: tuple[str, ...]
    """`sys.path`."""
    argv: tuple[str, ...]
    parent: int
    """The worker's pid."""
    log_format: LogFormat | None = None
    """None: logging is the app's own business."""
    modules: tuple[str, ...] = ()
    """Of the handlers that run in children, by name; the file that was started by its absolute path. The app's own module need not
    import them."""


class Nursery(Struct, frozen=True):
    """How the children of one worker are made: the command gets the number of an inherited socket as its last argument."""

    command: tuple[str, ...]
    home: Home
