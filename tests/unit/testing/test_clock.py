"""Lengths of time as a test writes them, and time that stands still."""

from datetime import timedelta

import pytest

from penstock.errors import ConfigurationError
from penstock.model.clock import SECOND
from penstock.testing.clock import VirtualClock, length


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("90s", 90),
        ("1h30m", 5400),
        (" 1 h 30 m ", 5400),
        ("7d", 604_800),
        ("2w", 1_209_600),
        ("250ms", 0.25),
        ("0.5h", 1800),
        (1.5, 1.5),
        (0, 0),
        (timedelta(days=1), 86_400),
    ],
)
def test_a_length_of_time(given: str | float | timedelta, seconds: float) -> None:
    assert length(given) == round(seconds * SECOND)


@pytest.mark.parametrize("wrong", ["", "h", "1", "1y", "1h and more", "-1h", -1, timedelta(seconds=-1)])
def test_what_is_none(wrong: str | float | timedelta) -> None:
    with pytest.raises(ConfigurationError, match=r"advance\("):
        length(wrong)


def test_time_moves_only_forward_and_for_every_handle() -> None:
    clock = VirtualClock(1_000 * SECOND)
    handles = [clock.store_clock(), clock.store_clock()]
    clock.move_to(1_010 * SECOND)
    clock.move_to(1_005 * SECOND)
    clock.advance(0.5)
    assert [handle.now() for handle in handles] == [clock.now()] * 2 == [1_010_500_000] * 2
