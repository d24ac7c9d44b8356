"""The short form of the leaders' test: `python -m penstock_faults.leaders` is the long one."""

import pytest

from penstock_faults.crew import Book, Line
from penstock_faults.leaders import wrong
from tests.faults.programs import verdict_of


@pytest.mark.timeout(200)
def test_another_one_leads_when_the_leader_dies_or_stands_still() -> None:
    check()


@pytest.mark.timeout(200)
def test_on_postgresql_another_one_leads_when_the_leader_dies_or_stands_still(postgres_url: str) -> None:
    check("--server", postgres_url)


def check(*options: str) -> None:
    found = verdict_of("leaders", "--changes", "2", *options)
    assert not wrong(found), found
    assert not found["void"], found
    assert found["ok"], found


def test_only_who_stood_still_may_overlap_with_others() -> None:
    lines = [Line("BEGIN", ("a",), 1, 1), Line("BEGIN", ("a",), 2, 5), Line("END", ("a",), 2, 6), Line("STOPPED", ("a",), 1, 9)]
    assert (Book(lines).overlapping(), Book(lines, stopped=frozenset({1})).overlapping()) == (["a"], [])
