"""What a handler may ask and say by its context."""

from __future__ import annotations

import math
from typing import Any

import pytest
from msgspec import Raw, json

from penstock import Context
from penstock.api.context import Previous
from penstock.errors import ResultUnavailable
from penstock.model.message import Options


@pytest.mark.parametrize("fraction", [0, 0.0, 0.4, 1, 1.0])
def test_progress_is_told(fraction: float) -> None:
    told: list[tuple[float, str]] = []
    Context(None, report=lambda fraction, note: told.append((fraction, note))).progress(fraction, "rendering")
    assert told == [(float(fraction), "rendering")] and isinstance(told[0][0], float)


@pytest.mark.parametrize("fraction", [-0.1, 1.01, math.nan, math.inf, True, "0.5", None])
def test_a_bad_fraction_is_refused_at_the_call(fraction: Any) -> None:
    told: list[tuple[float, str]] = []
    ctx = Context(None, report=lambda fraction, note: told.append((fraction, note)))
    with pytest.raises(ValueError, match="a number from 0 to 1"):
        ctx.progress(fraction)
    assert told == []


def test_a_note_is_a_text() -> None:
    note: Any = b"half"
    with pytest.raises(ValueError, match="a text"):
        Context(None).progress(0.5, note)


def test_without_a_worker_progress_goes_nowhere() -> None:
    ctx = Context(None)
    ctx.progress(0.5)
    assert ctx.previous is None


def test_a_note_is_cut_and_can_be_written() -> None:
    told: list[str] = []
    ctx = Context(None, report=lambda _, note: told.append(note))
    ctx.progress(0.5, "x" * 1000)
    ctx.progress(0.5, "\udcff")
    assert [len(told[0]), told[1]] == [500, "\\udcff"]


def previous_in(options: Options) -> Previous:
    return Previous(json.encode(options))


def test_previous_is_plain_json() -> None:
    previous = previous_in(Options(after="a", previous=Raw(b'{"total":[1,2.5,null]}')))
    assert Context(None, previous=previous).previous == {"total": [1, 2.5, None]}
    assert Context(None, previous=previous_in(Options(after="a"))).previous is None
    assert Context(None, previous={"made": "by a test"}).previous == {"made": "by a test"}


def test_a_previous_result_that_was_not_kept() -> None:
    ctx = Context(None, previous=previous_in(Options(after="a-1", missing="PayloadTooLarge: 300000 bytes")))
    with pytest.raises(ResultUnavailable, match=r"a-1.*300000 bytes"):
        print(ctx.previous)
