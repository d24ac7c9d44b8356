"""Arguments and results as JSON: one codec a task, compiled once.

Arguments are stored by name. What the caller leaves out is not stored: the default of the code that *runs* the job applies, so
a new parameter with a default travels between old and new releases until somebody passes it. An argument that this release
does not know raises `UnknownArgument`: dropping it would lose data, so the job is retried for a newer worker to take.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, Union, cast

import msgspec
from msgspec import UNSET, Struct, UnsetType

from penstock.api.payload import ENCODER, HARMLESS, Encoded, decode_hook, encode, refuse_traps
from penstock.api.signature import Signature
from penstock.errors import ConfigurationError, PayloadError, PayloadTooLarge, UndecodablePayload, UnknownArgument
from penstock.model.delivery import Delivery

Field: TypeAlias = tuple[str, Any] | tuple[str, Any, Any]

_KIND = inspect.Parameter
_FLAT = (str, int, bool, bytes)
"""Of these no value nests, and none has a null for its JSON."""


class Codec:
    """Binds, checks and encodes the arguments of one task; decodes them again."""

    def __init__(self, task: str, signature: Signature, limit: int) -> None:
        self.task = task
        self._limit = limit
        self._signature = signature
        self._struct = _struct(signature)
        self._decoder = _decoder(task, signature, self._struct)
        self._exact = _encoded_as_text(signature)
        optional = [p for p in signature.parameters if p.default is not _KIND.empty or p.kind is _KIND.KEYWORD_ONLY]
        self._positional = not optional and not signature.providers
        self._flat = all(signature.hint(p.name, p.annotation) in _FLAT for p in signature.parameters)
        self._harmless = limit if self._flat else HARMLESS

    def pack(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The arguments of one call, checked against the annotations.

        Raises TypeError where Python would: a missing, unknown or repeated argument. Raises PayloadError for a value that
        cannot travel or is not of its parameter's type, PayloadTooLarge over the limit.
        """
        try:
            arguments = self._struct(*args, **kwargs)
        except TypeError as error:
            raise TypeError(self._misfit(str(error), kwargs)) from None
        if self._exact:
            self._refuse_text(arguments)
        try:
            body = ENCODER.encode(arguments)
            if len(body) <= self._limit:
                self._decoder.decode(body)
        except Exception as error:
            raise PayloadError(f"{self.task}: {error}") from error
        if len(body) > self._harmless or (not self._flat and b"null" in body):
            self._look_closer(body, arguments)
        return body

    def check(self, body: bytes) -> None:
        """For arguments that came as JSON already (a command line). Raises PayloadError."""
        if len(body) <= self._limit:
            try:
                self._decoder.decode(body)
            except Exception as error:
                raise PayloadError(f"{self.task}: {error}") from error
        self._look_closer(body, None)

    def decode(self, delivery: Delivery) -> Struct:
        """Raises UndecodablePayload, or UnknownArgument."""
        return self.unpack(delivery.body)

    def unpack(self, body: bytes) -> Struct:
        """Raises UndecodablePayload, or UnknownArgument."""
        if len(body) > self._limit:
            raise UndecodablePayload(f"{self.task}: the payload has {len(body)} bytes, the limit is {self._limit}")
        try:
            return self._decoder.decode(body)
        except Exception as error:
            raise self._undecodable(body, error) from error

    def call(self, function: Callable[..., Any], injected: tuple[object, ...], arguments: Struct, provided: Mapping[str, object]) -> Any:
        if self._positional:
            return function(*injected, *msgspec.structs.astuple(arguments))
        return function(*injected, **self.named(arguments), **provided)

    def named(self, arguments: Struct) -> dict[str, Any]:
        """By name, without what the caller left out."""
        return {name: value for name, value in msgspec.structs.asdict(arguments).items() if value is not UNSET}

    def _look_closer(self, body: bytes, arguments: Struct | None) -> None:
        if len(body) > self._limit:
            raise PayloadTooLarge(f"{self.task}: the arguments take {len(body)} bytes, the limit is {self._limit}")
        refuse_traps(body, arguments, self.task)

    def _misfit(self, problem: str, kwargs: Mapping[str, Any]) -> str:
        given = [name for name in kwargs if name in self._signature.providers or name in ("ctx", "tx")]
        if given and problem.startswith("Unexpected"):
            return f"{self.task}: {given[0]!r} is injected by the worker; leave it out"
        return f"{self.task}: {problem[0].lower()}{problem[1:]}"

    def _refuse_text(self, arguments: Struct) -> None:
        for name, value in self.named(arguments).items():
            if name in self._exact and isinstance(value, str):
                raise PayloadError(f"{self.task}: expected `bytes`, got `str` - at `$.{name}`")

    def _undecodable(self, body: bytes, error: Exception) -> UndecodablePayload:
        try:
            stored = msgspec.json.decode(body)
        except Exception:
            return UndecodablePayload(f"{self.task}: not JSON: {error}")
        known = set(self._struct.__struct_fields__)
        unknown = sorted(set(cast("dict[str, Any]", stored)) - known) if isinstance(stored, dict) else []
        if unknown:
            return UnknownArgument(f"{self.task}: this release does not know the argument {', '.join(map(repr, unknown))}")
        return UndecodablePayload(f"{self.task}: {error}")


class ResultCodec:
    """What a task returns."""

    def __init__(self, task: str, annotation: Any) -> None:
        self._task = task
        self._decoder = msgspec.json.Decoder(annotation, dec_hook=decode_hook)

    def unpack(self, body: bytes | None) -> Any:
        """Raises PayloadError if the stored value is not of the annotated type."""
        if body is None:
            return None
        try:
            return self._decoder.decode(body)
        except Exception as error:
            raise PayloadError(f"{self._task}: what it returned is not what its annotation says: {error}") from error


def pack_result(task: str, value: object, limit: int) -> Encoded | None:
    """None for None. Raises PayloadError: the job is done all the same, without a result to fetch."""
    if value is None:
        return None
    body = encode(value, task)
    if len(body) > limit:
        raise PayloadTooLarge(f"{task}: the result takes {len(body)} bytes, the limit is {limit}")
    refuse_traps(body, value, task)
    return body


def _struct(signature: Signature) -> type[Struct]:
    """A struct whose constructor binds like the function."""
    positional = [_field(signature, p) for p in signature.parameters if p.kind is not _KIND.KEYWORD_ONLY]
    keyword = [_field(signature, p) for p in signature.parameters if p.kind is _KIND.KEYWORD_ONLY]
    first = msgspec.defstruct("Arguments", positional, forbid_unknown_fields=True)
    if not keyword:
        return first
    return msgspec.defstruct("Arguments", keyword, bases=(first,), kw_only=True, forbid_unknown_fields=True)


def _field(signature: Signature, parameter: inspect.Parameter) -> Field:
    hint = signature.hint(parameter.name, parameter.annotation)
    if parameter.default is _KIND.empty:
        return (parameter.name, hint)
    return (parameter.name, Union[hint, UnsetType], UNSET)  # noqa: UP007  (`hint` is a value here)


def _decoder(task: str, signature: Signature, struct: type[Struct]) -> msgspec.json.Decoder[Struct]:
    try:
        return msgspec.json.Decoder(struct, dec_hook=decode_hook)
    except Exception as error:
        raise ConfigurationError(f"{signature.place}: task {task!r}: {_culprit(signature, error)}") from error


def _culprit(signature: Signature, error: Exception) -> str:
    for parameter in signature.parameters:
        try:
            msgspec.json.Decoder(signature.hint(parameter.name, parameter.annotation), dec_hook=decode_hook)
        except ConfigurationError:
            raise
        except Exception as problem:
            return f"parameter {parameter.name!r} cannot travel as JSON: {problem}"
    return str(error)


def _encoded_as_text(signature: Signature) -> frozenset[str]:
    """Parameters whose JSON is a string that any other string could pass for."""
    return frozenset(p.name for p in signature.parameters if signature.hint(p.name, p.annotation) in (bytes, bytearray))
