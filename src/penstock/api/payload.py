"""Values as JSON, by msgspec; pydantic models by their own dump and validation. What JSON would change silently is refused."""

from __future__ import annotations

import math
import re
from typing import Any, Final, Protocol, Self, TypeAlias, cast, runtime_checkable

import msgspec

from penstock.errors import PayloadError

Encoded: TypeAlias = bytes

MAX_DEPTH = 100
"""How deep lists and objects may nest."""
HARMLESS = 2 * MAX_DEPTH
"""Bytes that are too few to nest too deep, or to be over any limit (an app's is at least this)."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BRACKET = re.compile(rb"[\[\]{}]")


@runtime_checkable
class PydanticModel(Protocol):
    """A pydantic model, known by its methods: pydantic itself is never imported here."""

    def model_dump_json(self, *, round_trip: bool, by_alias: bool) -> str: ...
    def model_dump(self) -> dict[str, Any]: ...
    @classmethod
    def model_validate_json(cls, json_data: bytes) -> Self: ...


@runtime_checkable
class _PydanticError(Protocol):
    """What a pydantic model raises."""

    def errors(self, *, include_url: bool, include_context: bool, include_input: bool) -> list[dict[str, Any]]: ...


def _encode_hook(value: object) -> object:
    if isinstance(value, PydanticModel):
        return msgspec.Raw(value.model_dump_json(round_trip=True, by_alias=True).encode())
    raise TypeError(_no_json(type(value)))


def decode_hook(kind: type[Any], value: object) -> object:
    if kind is object:
        return value
    if not issubclass(kind, PydanticModel):
        raise TypeError(_no_json(kind))
    try:
        return kind.model_validate_json(msgspec.json.encode(value))
    except ValueError as error:
        raise ValueError(_without_values(error)) from error


def _without_values(error: ValueError) -> str:
    """Its text quotes what was wrong, which is an argument: it would stand in logs."""
    if not isinstance(error, _PydanticError):
        return str(error)
    found = [
        (".".join(map(str, each["loc"])), each["msg"])
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return "; ".join(f"{message} - at `{place}`" if place else message for place, message in found)


def _no_json(kind: type[Any]) -> str:
    return (
        f"a {kind.__qualname__} cannot travel as JSON: pass an id, or a dataclass, msgspec.Struct, attrs or pydantic model "
        f"with the data that is needed"
    )


ENCODER: Final = msgspec.json.Encoder(enc_hook=_encode_hook)


def encode(value: object, task: str) -> Encoded:
    try:
        return ENCODER.encode(value)
    except Exception as error:
        raise PayloadError(f"{task}: {error}") from error


def refuse_traps(body: Encoded, value: object, task: str) -> None:
    """JSON has no NaN (it would come back as null), and readers differ in how deep they follow."""
    if b"null" in body and value is not None and _not_finite(value):
        raise PayloadError(f"{task}: NaN and infinity cannot travel as JSON")
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
        raise PayloadError(f"{task}: lists and objects nest deeper than {MAX_DEPTH}")


def _not_finite(value: object) -> bool:
    try:
        waiting: list[Any] = [msgspec.to_builtins(value, enc_hook=_builtins_hook)]
    except (TypeError, ValueError):
        return False
    while waiting:
        one: Any = waiting.pop()
        if isinstance(one, float) and not math.isfinite(one):
            return True
        if isinstance(one, dict):
            waiting.extend(cast("dict[str, Any]", one).values())
        elif isinstance(one, list | tuple):
            waiting.extend(cast("list[Any]", one))
    return False


def _builtins_hook(value: object) -> object:
    if isinstance(value, PydanticModel):
        return value.model_dump()
    raise TypeError(_no_json(type(value)))


def _depth(body: Encoded) -> int:
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
