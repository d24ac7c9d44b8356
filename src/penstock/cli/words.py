"""Times, sizes and values in words."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import msgspec

from penstock.api.payload import refuse_traps
from penstock.errors import PayloadError
from penstock.model.clock import SECOND, to_datetime
from penstock.model.log import COUNTED

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)


def length(seconds: float) -> str:
    """Rounded to its two largest units: `2d 3h`, `4m 5s`, `12s`, `0.3s`."""
    if seconds < 10:
        return f"{seconds:.1f}s".replace(".0s", "s")
    rest = round(seconds)
    parts: list[str] = []
    for size, unit in _UNITS:
        if rest >= size and len(parts) < 2:
            parts.append(f"{rest // size}{unit}")
            rest %= size
        elif parts:
            break
    return " ".join(parts)


def counted(events: int) -> str:
    """Some stores stop counting somewhere."""
    return f"{events:,}+" if events == COUNTED else f"{events:,}"


def relative(instant: int | None, now: int) -> str:
    if instant is None:
        return ""
    ago = (now - instant) / SECOND
    return f"in {length(-ago)}" if ago < 0 else f"{length(ago)} ago"


def utc(instant: int | None) -> str:
    return "" if instant is None else to_datetime(instant).strftime("%Y-%m-%d %H:%M:%SZ")


def moment(instant: int, now: int) -> str:
    return f"{relative(instant, now)}, {utc(instant)}"


def iso(instant: int | None) -> str | None:
    """For JSON."""
    return None if instant is None else to_datetime(instant).isoformat(timespec="microseconds").replace("+00:00", "Z")


def seconds_of(text: str) -> float:
    """`90`, `1.5s`, `10m`, `1h30m`, `2d`. Raises ValueError."""
    if re.fullmatch(r"\d+(?:\.\d+)?", text, re.ASCII):
        return float(text)
    parts = _LENGTH.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a length of time: write 90, 1.5s, 10m, 1h30m or 2d")
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
    return sum(float(number) * units[unit] for number, unit in parts)


def size(count: int) -> str:
    amount, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def value(body: bytes | None) -> Any:
    """Stored JSON as workers read it; what is none, or nests too deep to be printed, under `undecodable`, in base64."""
    if body is None:
        return None
    try:
        found = msgspec.json.decode(body)
        refuse_traps(body, None, "")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, PayloadError):
        return {"undecodable": base64.b64encode(body).decode()}
    return found


def near(name: str, known: Iterable[str]) -> list[str]:
    """Names that `name` may be a slip of; also by their last part alone."""
    names = sorted(set(known))
    tails = {each.rpartition(".")[2]: each for each in names}
    found = get_close_matches(name, names, n=3) + [tails[tail] for tail in get_close_matches(name.rpartition(".")[2], tails, n=3)]
    return list(dict.fromkeys(found))[:3]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    found = near(name, known)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def not_called(kind: str, name: str, known: Iterable[str]) -> str:
    return f"no {kind} is called {name!r}{did_you_mean(name, known)}"


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
