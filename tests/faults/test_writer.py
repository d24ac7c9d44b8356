"""The short form of the writer's test: `python -m penstock_faults.writer` holds the transaction open for a minute."""

from dataclasses import replace

import pytest

from penstock_faults.writer import JOBS, Found, Phase, judge
from tests.faults.programs import verdict_of

FAULTS = ("lost", "twice", "disordered", "passed_by", "jobs_lost")
QUICK, SLOW = Phase(waits=[0.01] * 100), Phase(waits=[1.0] * 100)
RIGHT = Found(QUICK, QUICK, QUICK, named=True, held=2, early=1, delay=100, read=[1, 0, 2, 3], log=[1, 0, 2, 3])


@pytest.mark.timeout(300)
def test_a_transaction_that_stays_open_holds_feeds_back_and_nothing_else(postgres_url: str) -> None:
    found = verdict_of("writer", "--seconds", "5", "--server", postgres_url)
    assert not [fault for fault in FAULTS if found[fault]]
    assert found["named"]
    assert found["held_back"] > 100
    assert found["during"]["jobs"] > 4 * JOBS
    assert found["ok"], found


def test_a_run_without_faults_is_right() -> None:
    verdict = judge(RIGHT)
    assert [verdict[fault] for fault in FAULTS] == [0, 0, False, 0, 0]
    assert verdict["ok"]


@pytest.mark.parametrize(
    ("found", "seen"),
    [
        (replace(RIGHT, read=[1, 0, 2]), "lost"),
        (replace(RIGHT, read=[1, 0, 2, 2, 3]), "twice"),
        (replace(RIGHT, read=[1, 2, 0, 3]), "disordered"),
        (replace(RIGHT, early=2), "passed_by"),
        (replace(RIGHT, offered=2, done=1), "jobs_lost"),
        (replace(RIGHT, held=0), "void"),
    ],
)
def test_the_verdict_sees(found: Found, seen: str) -> None:
    verdict = judge(found)
    assert verdict[seen]
    assert not verdict["ok"]


@pytest.mark.parametrize("found", [replace(RIGHT, during=SLOW), replace(RIGHT, named=False), replace(RIGHT, delay=5_000)])
def test_a_run_that_was_slow_or_in_which_nobody_was_named_is_not_right(found: Found) -> None:
    assert not judge(found)["ok"]
