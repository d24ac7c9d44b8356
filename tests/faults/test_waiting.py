"""A harness waits as long as something goes on, and no longer."""

import pytest

from penstock_faults.waiting import wait_for_none


def test_as_long_as_less_is_left_nobody_gives_up() -> None:
    counts = iter([3, 3, 2, 2, 1, 1, 0])
    wait_for_none(lambda: next(counts), "all to be done", 1)
    assert next(counts, None) is None


def test_where_nothing_goes_on_it_is_given_up() -> None:
    with pytest.raises(SystemExit, match="waited 0 s for all to be done, of which 2 are left"):
        wait_for_none(lambda: 2, "all to be done", 0)
