"""Times, sizes and names in words."""

import pytest

from penstock.cli import words
from penstock.model.clock import SECOND


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.34, "0.3s"), (9.96, "10s"), (12, "12s"), (59.7, "1m"), (65, "1m 5s"), (3600, "1h"), (7384, "2h 3m"), (90061, "1d 1h")],
)
def test_lengths(seconds: float, text: str) -> None:
    assert words.length(seconds) == text


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1.5s", 1.5), ("250ms", 0.25), ("10m", 600), ("1h30m", 5400), ("2d", 172800)])
def test_reads_lengths(text: str, seconds: float) -> None:
    assert words.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "1x", "-5", "5 m", "m5", "1h30", "1e9", "٣"])
def test_refuses_what_is_no_length(text: str) -> None:
    with pytest.raises(ValueError, match="length of time"):
        words.seconds_of(text)


def test_instants() -> None:
    now = 1_700_000_000 * SECOND
    assert words.relative(now - 65 * SECOND, now) == "1m 5s ago"
    assert words.relative(now + 5 * SECOND, now) == "in 5s"
    assert words.utc(now) == "2023-11-14 22:13:20Z"
    assert words.iso(now + 1) == "2023-11-14T22:13:20.000001Z"
    assert (words.relative(None, now), words.utc(None), words.iso(None)) == ("", "", None)


def test_sizes() -> None:
    assert [words.size(count) for count in (0, 1023, 1024, 5 << 20, 3 << 40)] == ["0 B", "1023 B", "1.0 KiB", "5.0 MiB", "3.0 TiB"]


def test_stored_values() -> None:
    assert words.value(b'{"a": 12345678901234567890}') == {"a": 12345678901234567890}
    assert words.value(b"\xff") == {"undecodable": "/w=="}
    assert words.value(None) is None


def test_near_names() -> None:
    known = ["shop.mail.send", "shop.mail.resend", "other.send_all", "clean"]
    assert words.near("shop.mail.sned", known)[0] == "shop.mail.send"
    assert "shop.mail.send" in words.near("send", known)
    assert words.did_you_mean("zzz", known) == ""
