"""What is on the screen, in 80 columns."""

from typing import Any

import msgspec
import pytest

from penstock.cli.demo.killer import Kill
from penstock.cli.demo.meter import HANDLED, SEEN, Making, Numbers, Total
from penstock.cli.demo.view import line, table

KILLS = [Kill(1, 4_194_303, "00ff", 8, ("feeder", "scheduler"), 0.05)] * 10


def numbers(**fields: Any) -> Numbers:
    """Of a run of many minutes."""
    busy = Numbers(
        elapsed=3_599.0,
        left=100.0,
        totals=[Total(name, 9_999, 40.0) for name in (*SEEN.values(), *HANDLED.values())],
        waiting=100,
        running=16,
        retrying=10,
        dead=99,
        workers=[(4_194_301, 8), (4_194_302, 8)],
        away=0,
        kills=KILLS,
        report=Making("running", 0.25, "desk"),
    )
    return msgspec.structs.replace(busy, **fields)


def test_everything_fits_in_80_columns() -> None:
    lines = [*table(numbers(), "", keys=True), *line(numbers(), "no more visitors; working off what is left").splitlines()]
    assert [each for each in lines if len(each.rstrip()) > 80] == []


@pytest.mark.parametrize(
    ("report", "shown"),
    [
        (None, "report    nobody has asked for one yet"),
        (Making("waiting", 0.0, ""), "report    waiting"),
        (Making("running", 0.25, "desk"), "report    [######..................]  25%  desk"),
        (Making("done", 0.875, "vase"), "report    done"),
    ],
    ids=["none", "waiting", "running", "done"],
)
def test_the_row_of_the_report(report: Making | None, shown: str) -> None:
    assert f"  {shown}" in table(numbers(report=report), "", keys=False)


def test_a_line_a_second_tells_of_a_report_that_is_being_made() -> None:
    first, second = line(numbers(), "").splitlines()
    assert first.endswith("killed 10")
    assert second.strip() == "report [######..................]  25%  desk"
    assert len(line(numbers(report=None), "").splitlines()) == 1


def test_a_kill_says_what_the_worker_held() -> None:
    assert "  killed    10   process 4194303, feeder, scheduler, 8 jobs: back after 50 ms" in table(numbers(), "", keys=False)
