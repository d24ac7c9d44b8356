"""Token buckets in whole numbers."""

import pytest

from penstock.model.clock import SECOND
from penstock.model.limit import Bucket, Rate, full, next_token, parse_rate, refilled, spent, tokens

START = 1_700_000_000 * SECOND


@pytest.mark.parametrize(
    ("text", "count", "seconds"), [("100/s", 100, 1), ("5/min", 5, 60), ("5/m", 5, 60), ("1000/h", 1_000, 3_600), ("1/d", 1, 86_400)]
)
def test_a_rate_is_read(text: str, count: int, seconds: int) -> None:
    assert parse_rate(text) == Rate(count, seconds * SECOND)


@pytest.mark.parametrize("text", ["", "100", "100/", "/s", "1.5/s", "-1/s", "100/week", "100 / s", "100/S", "٣/s", "10/5s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a rate: a whole number"):
        parse_rate(text)


@pytest.mark.parametrize(("text", "problem"), [("0/s", "pause the queue"), ("1000001/s", "at most 1,000,000 a second")])
def test_impossible_rates_are_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_rate(text)


def test_the_fastest_rate_of_each_unit_is_a_million_a_second() -> None:
    assert parse_rate("60000000/min").burst == parse_rate("1000000/s").burst == 100_000


@pytest.mark.parametrize(("text", "burst"), [("1/s", 1), ("19/s", 1), ("20/s", 2), ("100/s", 10), ("1200/min", 2), ("1000/h", 1)])
def test_it_holds_what_a_tenth_of_a_second_brings(text: str, burst: int) -> None:
    assert tokens(parse_rate(text), full(parse_rate(text), START)) == burst


@pytest.mark.parametrize("text", ["1/s", "3/s", "7/min", "999/s", "1000/h", "123457/s"])
def test_in_any_time_at_most_rate_times_time_and_the_burst(text: str) -> None:
    """Asked at odd moments, taking all there is: never more, and no fraction is lost."""
    rate, now, taken = parse_rate(text), START, 0
    bucket = full(rate, now)
    step = rate.per // (3 * rate.count) or 1
    for n in range(1, 2_000):
        now += step + n % 7
        bucket = refilled(rate, bucket, now)
        taken += tokens(rate, bucket)
        bucket = spent(rate, bucket, tokens(rate, bucket))
        assert taken <= (now - START) * rate.count // rate.per + rate.burst
    assert taken >= (now - START) * rate.count // rate.per - 1


@pytest.mark.parametrize("text", ["1/s", "3/s", "7/min", "1000/h", "999999/s"])
def test_it_says_to_the_microsecond_when_the_next_one_is_there(text: str) -> None:
    rate = parse_rate(text)
    bucket = spent(rate, full(rate, START), rate.burst)
    at = next_token(rate, bucket)
    assert tokens(rate, refilled(rate, bucket, at)) == 1
    assert tokens(rate, refilled(rate, bucket, at - 1)) == 0


def test_with_a_token_there_is_nothing_to_wait_for() -> None:
    assert next_token(Rate(1, SECOND), Bucket(3 * SECOND, START)) == START


def test_time_that_stands_still_brings_nothing() -> None:
    rate = Rate(1, SECOND)
    assert refilled(rate, Bucket(5, START), START - 10).level == 5


def test_clocks_that_differ_bring_no_time_twice() -> None:
    rate = Rate(1, SECOND)
    bucket = Bucket(0, START)
    for _ in range(10):
        bucket = refilled(rate, refilled(rate, bucket, START - 10), START)
    assert bucket == Bucket(0, START)
