"""The short form of the test of slow handlers: `python -m penstock_faults.slow --stops 20` is the long one."""

import pytest

from penstock_faults.crew import Book, Line
from penstock_faults.slow import ran_again
from tests.faults.programs import verdict_of


@pytest.mark.timeout(120)
def test_slow_handlers_and_stops_in_good_order_cost_nothing() -> None:
    check()


@pytest.mark.timeout(120)
def test_on_postgresql_slow_handlers_and_stops_in_good_order_cost_nothing(postgres_url: str) -> None:
    check("--server", postgres_url)


def check(*options: str) -> None:
    found = verdict_of("slow", "--stops", "3", "--seed", "7", *options)
    assert found["ok"], found


def test_who_runs_again_though_nobody_had_stopped_it_is_seen() -> None:
    def again(kind: str, how: str, end: int) -> list[str]:
        job = f"p0-1-{kind}"
        lines = [Line("BEGIN", (job,), 1, 1), Line("BEGIN", (job,), 2, 5), Line("END", (job,), 2, 6), Line(how, (job,), 1, end)]
        return ran_again(Book(sorted(lines, key=lambda line: line.at)))

    assert again("once", "STOPPED", 3) == []
    assert again("once", "STOPPED", 5 + 2) == ["p0-1-once"]
    assert again("once", "END", 3) == ["p0-1-once"]
    assert again("deaf", "END", 3) == []
