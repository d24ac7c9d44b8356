"""Topics and subscriptions as routers declare them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Generic, Literal, TypeAlias, TypedDict, TypeVar, cast

from penstock.api.context import Context
from penstock.api.definition import Owner
from penstock.api.events import EventTypes
from penstock.api.options import named, positive
from penstock.api.topic import Declared
from penstock.api.transaction import Transaction
from penstock.errors import ConfigurationError
from penstock.model.clock import Duration, micros
from penstock.model.log import TopicSpec

Event = TypeVar("Event")

End: TypeAlias = Any
AfterDeath: TypeAlias = Literal["continue", "hold"]
Handler: TypeAlias = (
    Callable[[Event], End]
    | Callable[[Context[Any], Event], End]
    | Callable[[Transaction, Event], End]
    | Callable[[Context[Any], Transaction, Event], End]
)


class TopicOptions(TypedDict, Generic[Event], total=False):
    key: Callable[[Event], str]
    retention: Duration
    retention_max: Duration
    versioned: bool
    aliases: Mapping[str, type[Event]]


def declare_topic(owner: Owner, where: str, name: str, types: tuple[type[Any], ...], options: Mapping[str, Any]) -> Declared:
    """Raises ConfigurationError, naming the place."""
    unknown = sorted(set(options) - set(TopicOptions.__annotations__))
    if unknown:
        raise ConfigurationError(f"{where}: topic({name!r}): there is no option {unknown[0]!r}")
    named(f"{where}: topic", name)
    key: Callable[[Any], str] | None = options.get("key")
    if not (key is None or callable(cast(object, key))):
        raise ConfigurationError(f"{where}: topic({name!r}, key={key!r}): a function of an event that returns its key")
    spec = TopicSpec(name, bool(options.get("versioned", False)), *_ages(where, name, options))
    return Declared(owner, where, spec, EventTypes(name, where, types, options.get("aliases") or {}), key)


def _ages(where: str, name: str, options: Mapping[str, Any]) -> tuple[int | None, int | None]:
    kept, kept_at_most = (_age(where, name, what, options.get(what)) for what in ("retention", "retention_max"))
    if options.get("versioned") and not (kept is None and kept_at_most is None):
        raise ConfigurationError(f"{where}: topic({name!r}): a versioned topic is kept for ever: leave retention out")
    if kept_at_most is not None and (kept is None or kept_at_most < kept):
        raise ConfigurationError(f"{where}: topic({name!r}): retention_max goes with a retention, and is not shorter than it")
    return kept, kept_at_most


def _age(where: str, name: str, what: str, age: Any) -> int | None:
    if age is None or age == math.inf:
        return None
    return micros(timedelta(seconds=positive(f"{where}: topic({name!r}, {what}=…)", age)))
