"""Who holds the feeds back, in words."""

import pytest

from penstock.model.log import Holder


@pytest.mark.parametrize(
    ("holder", "words"),
    [
        (Holder(7, 12, 61.2, None, "psql", "active"), "at position 7 for 61 s by pid 12 (psql, active), which"),
        (Holder(7, 12, None, None, "psql"), "at position 7 by pid 12 (psql), which"),
        (Holder(7, None, 61.2, "mine"), "at position 7 for 61 s by the prepared transaction 'mine', which"),
    ],
)
def test_what_is_known_is_said(holder: Holder, words: str) -> None:
    assert words in holder.words


@pytest.mark.parametrize(("seconds", "matters"), [(0.01, False), (1.0, True), (None, True)])
def test_appending_itself_is_not_worth_a_word(seconds: float | None, matters: bool) -> None:
    assert Holder(7, 12, seconds).matters is matters
