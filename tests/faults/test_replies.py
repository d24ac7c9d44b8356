"""The short form of the lost replies: `python -m penstock_faults.replies --losses 200` is the long one."""

import pytest

from tests.faults.programs import verdict_of


@pytest.mark.timeout(120)
def test_replies_that_are_lost_or_late_cost_nothing(postgres_url: str) -> None:
    found = verdict_of("replies", "--server", postgres_url, "--losses", "40", "--seed", "7")
    assert found["ok"], found
