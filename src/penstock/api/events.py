"""Events as JSON: the types of a topic by name, one codec each, compiled once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import msgspec
import msgspec.inspect

from penstock.api.payload import ENCODER, HARMLESS, PydanticModel, decode_hook, refuse_traps
from penstock.api.signature import Signature
from penstock.errors import ConfigurationError, PayloadError, PayloadTooLarge, UndecodablePayload, UnknownArgument, Unwanted
from penstock.model.delivery import Delivery
from penstock.model.ids import is_name

MAX_TYPES = 8


class EventTypes:
    """Encodes and checks the events of one topic, and decodes them again."""

    def __init__(self, topic: str, where: str, types: Sequence[type[Any]], aliases: Mapping[str, type[Any]]) -> None:
        self.topic = topic
        self._names = _named(topic, where, types)
        known = {name: kind for kind, name in self._names.items()} | _older(topic, where, aliases, self._names)
        self._decoders = {name: _decoder(topic, where, kind) for name, kind in known.items()}

    def names_of(self, kind: type[Any]) -> tuple[str, ...]:
        """All names under which events of this type may be stored."""
        return tuple(name for name, decoder in self._decoders.items() if decoder.type is kind)

    def encode(self, event: object, limit: int) -> tuple[str, bytes]:
        """Its type's name and its JSON. Raises PayloadError for another type or a value that cannot travel."""
        name = self._names.get(type(event))
        if name is None:
            raise PayloadError(f"topic {self.topic!r} carries {self._accepted()}, not {type(event).__qualname__}")
        try:
            body = ENCODER.encode(event)
            if len(body) <= limit:
                self._decoders[name].decode(body)
        except Exception as error:
            raise PayloadError(f"topic {self.topic!r}, {name}: {error}") from error
        if len(body) > HARMLESS or b"null" in body:
            self._look_closer(name, body, event, limit)
        return name, body

    def decode(self, name: str | None, body: bytes) -> Any:
        """Raises UndecodablePayload; UnknownArgument for a type that another release may know."""
        decoder = self._decoders.get(name or "")
        if decoder is None:
            raise UnknownArgument(f"topic {self.topic!r}: this release does not know the event type {name!r}")
        try:
            return decoder.decode(body)
        except Exception as error:
            raise UndecodablePayload(f"topic {self.topic!r}, {name}: {error}") from error

    def _look_closer(self, name: str, body: bytes, event: object, limit: int) -> None:
        if len(body) > limit:
            raise PayloadTooLarge(f"topic {self.topic!r}, {name}: the event takes {len(body)} bytes, the limit is {limit}")
        refuse_traps(body, event, f"topic {self.topic!r}, {name}")

    def _accepted(self) -> str:
        return " or ".join(self._names.values())


class EventCoding:
    """How a subscription's delivery becomes its handler's one argument: `penstock.api.definition.Coding`."""

    def __init__(self, types: EventTypes, signature: Signature, only: tuple[str, ...] | None) -> None:
        self._types = types
        self._parameter = signature.parameters[0].name
        self._only = only

    def decode(self, delivery: Delivery) -> Any:
        """Raises Unwanted for a type that only another release of this subscription asks for; else as `EventTypes.decode`."""
        if self._only is not None and delivery.type not in self._only:
            raise Unwanted(f"topic {self._types.topic!r}: this release does not ask for {delivery.type!r}")
        return self._types.decode(delivery.type, delivery.body)

    def call(self, function: Callable[..., Any], injected: tuple[object, ...], arguments: Any, provided: Mapping[str, object]) -> Any:
        return function(*injected, arguments, **provided)

    def named(self, arguments: Any) -> dict[str, Any]:
        return {self._parameter: arguments}


def _named(topic: str, where: str, types: Sequence[type[Any]]) -> dict[type[Any], str]:
    if not 1 <= len(types) <= MAX_TYPES:
        raise ConfigurationError(f"{where}: topic({topic!r}): 1 to {MAX_TYPES} event types, not {len(types)}; for more, split the topic")
    names: dict[type[Any], str] = {}
    for kind in types:
        if not isinstance(cast(object, kind), type):
            raise ConfigurationError(f"{where}: topic({topic!r}): {kind!r} is not a type; give each type by itself, not as A | B")
        name = kind.__name__
        if name in names.values():
            raise ConfigurationError(f"{where}: topic({topic!r}): two types under the name {name!r}: events are stored by name")
        names[kind] = name
    return names


def _older(topic: str, where: str, aliases: Mapping[str, type[Any]], names: Mapping[type[Any], str]) -> dict[str, type[Any]]:
    for alias, kind in aliases.items():
        if kind not in names or alias in names.values() or not is_name(alias):
            raise ConfigurationError(f"{where}: topic({topic!r}, aliases=…): {alias!r} must be an older name of one of its types")
    return dict(aliases)


def _decoder(topic: str, where: str, kind: type[Any]) -> msgspec.json.Decoder[Any]:
    try:
        if isinstance(msgspec.inspect.type_info(kind), msgspec.inspect.CustomType) and not issubclass(kind, PydanticModel):
            raise TypeError("make it a dataclass, msgspec.Struct, attrs or pydantic model")
        return msgspec.json.Decoder(kind, dec_hook=decode_hook)
    except Exception as error:
        raise ConfigurationError(f"{where}: topic({topic!r}): {kind.__qualname__} cannot travel as JSON: {error}") from error
