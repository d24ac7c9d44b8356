"""Statements that would begin or end the transaction they run in. Savepoints of the user's own are theirs."""

from __future__ import annotations

import re
from functools import lru_cache

from penstock.errors import ConfigurationError

_BEFORE = r"(?>\s|;|\ufeff|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*+"
"""What SQLite skips. Possessive: a crowd of comments is read once."""
_WORDS = r"begin|start\s+transaction|commit|end|abort|prepare\s+transaction|rollback(?!\s+(?:transaction\s+|work\s+)?to\b)"
_ENDING = re.compile(rf"{_BEFORE}(?:{_WORDS})\b", re.IGNORECASE | re.DOTALL)


def refuse_ending(sql: str) -> None:
    """Raises ConfigurationError; nothing was run."""
    if _ends(sql):
        raise ConfigurationError(
            f"{sql.strip()[:60]!r} in a transaction of Penstock's: it commits when its handler or block returns, and rolls back "
            "when that raises; for a part of it use `async with app.transaction()` inside"
        )


@lru_cache(maxsize=1_000)
def _ends(sql: str) -> bool:
    return _ENDING.match(sql) is not None
