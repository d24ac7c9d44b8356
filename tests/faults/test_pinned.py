"""The short form of the pinned reader: `python -m penstock_faults.pinned` is the long one."""

import pytest

from penstock_faults.pinned import Period, judged
from tests.faults.programs import verdict_of


@pytest.mark.alone
@pytest.mark.usefixtures("postgres_url")  # skipped where there is no server
@pytest.mark.timeout(420)
def test_an_old_snapshot_does_not_slow_jobs_down() -> None:
    words = ["--rate", "1000", "--period", "10", "--periods", "3", "--naptime", "5"]
    verdict = verdict_of("pinned", *words)
    assert verdict["ok"], verdict
    assert verdict["offered"] > 40_000
    assert all(period["claim"] > 0 and period["completed"] > 5_000 for period in verdict["periods"])


@pytest.mark.parametrize(
    ("last", "completed", "ok"),
    [
        (Period("2", 100, 0, 1, 9, 0.5, 600), 98, True),
        (Period("2", 100, 0, 1, 9, 0.5, 600), 97, False),
        (Period("2", 100, 0, 1, 11, 0.5, 600), 98, False),
        (Period("2", 100, 0, 1, 9, 1.1, 600), 98, False),
        (Period("2", 100, 0, 1, 9, 0.5, 1_000), 98, False),
    ],
)
def test_the_verdict_sees_what_grows(last: Period, completed: int, ok: bool) -> None:
    before, first = Period("0", 100, 0, 1, 5, 0.5, 100), Period("1", 100, 0, 1, 5, 0.5, 300)
    assert judged(before, [first, last], {"seconds": 9, "normal": True}, 100, completed)["ok"] is ok
