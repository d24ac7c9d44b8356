"""A store whose place a framework decides, and may decide anew."""

from __future__ import annotations


class MovingUrl(str):
    """A store's URL that may come to mean another place: whoever opens the store asks for it then."""

    def now(self) -> str:
        """Raises ConfigurationError."""
        raise NotImplementedError
