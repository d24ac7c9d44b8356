"""S14: bytes that nobody thought of. Whatever they are, a reader says what is wrong with them by its own error, or reads them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

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
def damaged(draw: st.DrawFn, good: st.SearchStrategy[bytes]) -> bytes:
    """It lost some bytes, or was given some."""
    text = draw(good)
    at, lost = draw(st.integers(0, len(text))), draw(st.integers(0, 3))
    return text[:at] + draw(PIECES | st.binary(max_size=4)) + text[at + lost :]


EXAMPLES = 200
many = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])


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


def shown(body: bytes) -> bytes:
    return json.dumps(words.value(body), allow_nan=False, ensure_ascii=False).encode()


def arguments(task: Any) -> Callable[[bytes], object]:
    codec = task._definition.codec
    return lambda body: codec.named(codec.unpack(body))


class Reader(NamedTuple):
    read: Callable[[bytes], object]
    refusals: tuple[type[BaseException], ...]
    own: st.SearchStrategy[Any]
    """What it can read."""


TEXT = st.text(st.characters(codec="utf-8"), max_size=9)
ORDER = st.fixed_dictionaries({"order": st.integers(-(1 << 63), 1 << 63)}, optional={"note": TEXT})
THEN = st.fixed_dictionaries({"order": ORDER}, optional={"then": st.lists(ORDER, max_size=3) | st.none()})
ANY = st.fixed_dictionaries({"value": VALUES})
HEADERS = st.dictionaries(TEXT, TEXT, max_size=4)
READERS = {
    "typed arguments": Reader(arguments(typed), (UndecodablePayload,), ORDER),
    "any argument": Reader(arguments(anything), (UndecodablePayload,), ANY),
    "arguments of a class": Reader(arguments(nested), (UndecodablePayload,), THEN),
    "an event": Reader(lambda body: topic._declared.types.decode("Order", body), (UndecodablePayload,), ORDER),
    "a result": Reader(ResultCodec("shop.nested", Order).unpack, (PayloadError,), ORDER),
    "options": Reader(decode_options, (), st.fixed_dictionaries({}, optional={"retry": VALUES, "then": VALUES})),
    "headers": Reader(decode_headers, UNREADABLE, HEADERS),
    "a successor": Reader(lambda raw: successor_of(Options(then=msgspec.Raw(raw))), (), HEADERS),
    "what an operator sees": Reader(shown, (), VALUES),
}


def of_all_sorts(own: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """What it can read, that damaged, and anything."""
    good = own.map(msgspec.json.encode)
    return good | good | damaged(good) | st.binary(max_size=200) | st.lists(PIECES, max_size=8).map(b"".join)


@pytest.mark.parametrize("name", READERS)
def test_any_bytes_are_read_or_refused_by_name(name: str) -> None:
    reader = READERS[name]
    came: Counter[str] = Counter()

    @many
    @given(of_all_sorts(reader.own))
    def with_these(body: bytes) -> None:
        try:
            reader.read(body)
        except reader.refusals:
            came["refused"] += 1
        else:
            came["read"] += 1

    with_these()
    assert came["read"] > EXAMPLES / 20
    assert not reader.refusals or came["refused"] > EXAMPLES / 20


@pytest.mark.parametrize(("task", "own"), [(typed, ORDER), (anything, ANY), (nested, THEN)])
def test_what_is_read_can_be_written_again(task: Any, own: st.SearchStrategy[Any]) -> None:
    """And comes to the same."""
    codec = task._definition.codec
    came: Counter[str] = Counter()

    @many
    @given(of_all_sorts(own))
    def with_these(body: bytes) -> None:
        with suppress(UndecodablePayload):
            found = codec.named(codec.unpack(body))
            came["read"] += 1
            assert codec.named(codec.unpack(msgspec.json.encode(found))) == found

    with_these()
    assert came["read"] > EXAMPLES / 20
