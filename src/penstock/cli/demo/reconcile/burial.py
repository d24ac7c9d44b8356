"""Dead letters of handlers that refuse nothing: only workers killed under one, until it was taken for poison, are a cause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from penstock.model.delivery import FATAL_DEATHS

T = TypeVar("T")


class Letter(Struct, Generic[T], frozen=True):
    of: T
    deaths: int
    reason: str = ""


def causeless(place: str, letters: Sequence[Letter[T]]) -> list[str]:
    return [f"dead letter without a cause: {letter.of} in {place}: {letter.reason}" for letter in letters if letter.deaths < FATAL_DEATHS]
