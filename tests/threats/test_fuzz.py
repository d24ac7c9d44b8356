"""S14: bytes that nobody thought of. Whatever they are, a reader says what is wrong with them by its own error, or reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock import App
from penstock.api.codec import ResultCodec
from penstock.cli import words
from penstock.errors import PayloadError, UndecodablePayload
from penstock.model.chain import successor_of
from penstock.model.message import UNREADABLE, Options, decode_headers, decode_options

PIECES = st.sampled_from(
    [
        *(b'{"', b'":', b"{", b"}", b"[", b"]", b",", b'"', b"\\", b"\\u", b"\\ud800", b"\\u0000", b"null", b"NaN", b"-", b"1e999", b"0x1"),
        *(b"9" * 5_000, b"[" * 2_000, b'{"a":' * 1_200, b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\0", b"\x1f\x8b", b"\x80\x05"),
        *(b'"order"', b'"then"', b'"retry"', b'"note"', b'"value"', b"-0.0", b"1" + b"0" * 400, b"{}", b"true"),
    ]
)
NAMES = st.sampled_from(["order", "note", "value", "then", "a", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """JSON that lost some bytes, or was given some."""
    text = json.dumps(draw(VALUES)).encode()
    at, lost = draw(st.integers(0, len(text))), draw(st.integers(0, 3))
    return text[:at] + draw(PIECES | st.binary(max_size=4)) + text[at + lost :]


GOOD = VALUES.map(lambda value: json.dumps(value).encode())
BYTES = st.binary(max_size=200) | st.lists(PIECES, max_size=8).map(b"".join) | damaged() | GOOD
many = settings(max_examples=200, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass
class Order:
    order: int
    note: str = ""


app = App("sqlite:///never.db", name="shop")
topic = app.topic("orders", Order)


@app.task()
def typed(order: int, note: str = "") -> None: ...


@app.task()
def anything(value: object) -> None: ...


@app.task()
def nested(order: Order, then: list[Order] | None = None) -> Order: ...  # type: ignore[empty-body]


def arguments(task: Any) -> Callable[[bytes], object]:
    codec = task._definition.codec
    return lambda body: codec.named(codec.unpack(body))


READERS: dict[str, tuple[Callable[[bytes], object], tuple[type[BaseException], ...]]] = {
    "typed arguments": (arguments(typed), (UndecodablePayload,)),
    "any argument": (arguments(anything), (UndecodablePayload,)),
    "arguments of a class": (arguments(nested), (UndecodablePayload,)),
    "an event": (lambda body: topic._declared.types.decode("Order", body), (UndecodablePayload,)),
    "a result": (ResultCodec("shop.nested", Order).unpack, (PayloadError,)),
    "options": (decode_options, ()),
    "headers": (decode_headers, UNREADABLE),
    "a successor": (lambda raw: successor_of(Options(then=msgspec.Raw(raw))), ()),
    "what an operator sees": (lambda body: json.dumps(words.value(body), allow_nan=False, ensure_ascii=False).encode(), ()),
}


@pytest.mark.parametrize("reader", READERS)
def test_any_bytes_are_read_or_refused_by_name(reader: str) -> None:
    read, refusals = READERS[reader]

    @many
    @given(BYTES)
    def with_these(body: bytes) -> None:
        with suppress(*refusals):
            read(body)

    with_these()


@pytest.mark.parametrize("task", [typed, anything, nested])
def test_what_is_read_can_be_written_again(task: Any) -> None:
    """And comes to the same."""
    codec = task._definition.codec

    @many
    @given(BYTES)
    def with_these(body: bytes) -> None:
        try:
            found = codec.named(codec.unpack(body))
        except UndecodablePayload:
            return
        assert codec.named(codec.unpack(msgspec.json.encode(found))) == found or "NaN" in repr(found)

    with_these()
