"""The short form of the clocks that jump: `python -m penstock_faults.jumps --jumps 20` is the long one."""

from pathlib import Path

import pytest

from penstock_faults.crew import Book, Line
from penstock_faults.jumps import early, wrong
from tests.faults.programs import verdict_of

SECOND = 1_000_000


@pytest.mark.timeout(120)
def test_clocks_that_jump_decide_nothing(libfaketime: Path) -> None:
    check()


@pytest.mark.timeout(120)
def test_on_postgresql_clocks_that_jump_decide_nothing(libfaketime: Path, postgres_url: str) -> None:
    check("--server", postgres_url)


def check(*options: str) -> None:
    found = verdict_of("jumps", "--jumps", "4", "--seed", "7", *options)
    assert not wrong(found), found
    assert not found["void"], found
    assert found["ok"]


def test_what_runs_before_its_time_is_seen_unless_a_jump_made_it_due() -> None:
    lines = [Line("TRY", ("a", "delay", str(9 * SECOND)), 1, 8 * SECOND), Line("BEGIN", ("a",), 2, round(8.5 * SECOND))]
    book = Book(lines)
    assert early(book, []) == {"a": -0.5}
    assert early(book, [round(8.2 * SECOND)]) == {}
    assert early(book, [2 * SECOND, round(8.6 * SECOND)]) == {"a": -0.5}
