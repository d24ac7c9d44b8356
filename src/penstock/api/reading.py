"""Reading topics: events decoded, a part of a key or all that there are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Any

from penstock.api.events import EventTypes
from penstock.api.history import Record
from penstock.api.link import Link
from penstock.errors import ConfigurationError
from penstock.model.clock import from_datetime
from penstock.model.log import Recorded, Span, TopicSpec
from penstock.ports.store import Store

_MOST = 1 << 40
"""Beyond any position and version."""


def span_of(first: int, until: int | datetime | None, backward: bool, limit: int | None) -> Span:
    """Which events of a key are wanted. Raises ConfigurationError."""
    for name, value in (("first", first), ("limit", limit)):
        if value is not None and (isinstance(value, bool) or value < 1):
            raise ConfigurationError(f"read({name}={value!r}): a number from 1 on")
    match until:
        case None:
            return Span(first, None, None, backward, limit)
        case datetime():
            return Span(first, None, _moment(until), backward, limit)
        case int() if 0 <= until < _MOST and not isinstance(until, bool):
            return Span(first, until, None, backward, limit)
        case _:
            raise ConfigurationError(f"read(until={until!r}): a version or a moment")


async def records(store: Store, types: EventTypes, topic: TopicSpec, wanted: tuple[str, Span]) -> list[Record[Any]]:
    key, span = wanted
    return _decoded(types, await store.log.read_key(topic.name, key, span))


async def all_records(link: Link, types: EventTypes, after: int | datetime, batch: int) -> AsyncIterator[list[Record[Any]]]:
    if batch < 1:
        raise ConfigurationError(f"replay(batch={batch!r}): a number of events, at least 1")
    position = await _position(link, types.topic, after)
    while True:
        found = await link.run(_part(types.topic, position, batch))
        if not found:
            return
        position = found[-1].position
        yield _decoded(types, found)


def _part(topic: str, after: int, limit: int) -> Callable[[Store], Awaitable[list[Recorded]]]:
    return lambda store: store.log.read(topic, after, limit)


async def _position(link: Link, topic: str, after: int | datetime) -> int:
    if not isinstance(after, datetime):
        return _checked_position(after)
    moment = _moment(after)
    return await link.run(lambda store: store.inspect.position_at(topic, moment))


def _checked_position(after: object) -> int:
    if not isinstance(after, int) or isinstance(after, bool) or not 0 <= after < _MOST:
        raise ConfigurationError(f"replay(after={after!r}): a position from 0 on, or a moment")
    return after


def _moment(until: datetime) -> int:
    try:
        return from_datetime(until)
    except ValueError as error:
        raise ConfigurationError(f"{until!r}: {error}") from None


def _decoded(types: EventTypes, found: list[Recorded]) -> list[Record[Any]]:
    decode = types.decode
    return [Record(decode(each.type, each.body), each) for each in found]
