"""Statements that would end a transaction of ours are known, whatever stands before them, and read once."""

import pytest

from penstock.errors import ConfigurationError
from penstock.stores.sql.endings import refuse_ending

ENDINGS = [
    "commit",
    "\ufeffcommit",
    ";; end",
    "/* a */ -- b\n rollback",
    "ROLLBACK TRANSACTION",
    "begin immediate",
    "abort",
    "start transaction",
]
OTHERS = [
    "rollback to mine",
    "rollback transaction to mine",
    "savepoint commit",
    "select 'commit'",
    "-- commit\nselect 1",
    "committed",
    "",
    "explain commit",
]


@pytest.mark.parametrize("sql", ENDINGS)
def test_an_ending_is_refused(sql: str) -> None:
    with pytest.raises(ConfigurationError, match="commits when its handler or block returns"):
        refuse_ending(sql)


@pytest.mark.parametrize("sql", OTHERS)
def test_anything_else_passes(sql: str) -> None:
    assert refuse_ending(sql) is None  # type: ignore[func-returns-value]


def test_a_crowd_of_comments_is_read_once() -> None:
    """Read again for each way to divide it, it would never end."""
    assert refuse_ending("/*a*/ " * 5_000 + "select 1") is None  # type: ignore[func-returns-value]
