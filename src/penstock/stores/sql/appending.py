"""What an append comes to."""

from __future__ import annotations

from typing import TypeAlias

from penstock.errors import ConfigurationError, VersionConflict
from penstock.model.log import Append, Conflict, Reused


class Unheard(int):
    """The key's new version; nobody has subscribed to the topic."""

    __slots__ = ()


Result: TypeAlias = int | Unheard | Conflict | Reused
"""Of an append: the key's new version, or why not."""


def is_heard(result: Result) -> bool:
    """It may have brought work."""
    return not isinstance(result, Unheard | Conflict | Reused)


def agreed(append: Append, result: Result) -> int:
    """The new version. Raises VersionConflict; ConfigurationError for an id that was used for other events."""
    if isinstance(result, Reused):
        raise ConfigurationError(
            f"append to {append.topic.name} {append.key!r}: the id {append.given!r} was used there for another number of events; "
            "nothing was kept"
        )
    if isinstance(result, Conflict):
        raise VersionConflict(
            f"append to {append.topic.name} {append.key!r}: expected version {result.expected}, it is {result.actual}; "
            "read it again and decide anew"
        )
    return int(result)
