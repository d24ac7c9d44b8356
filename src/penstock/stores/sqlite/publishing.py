"""Publishing and appending: a few statements a topic, however many events there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from penstock.model.log import Append, Conflict, Event, Reused, TopicSpec
from penstock.model.message import Placed
from penstock.model.statement import Program, Statement
from penstock.stores.sql.appending import Result
from penstock.stores.sqlite.places import advance, number_of

_WIDTH = 10

Placing: TypeAlias = tuple[Event, str | None, int | None]
"""An event, its key, and its version there."""


def publish(topic: TopicSpec, events: Sequence[Event], now: int) -> Program[list[Placed]]:
    """Keep all that are new. An id that the caller chose and that is known already is left as it was."""
    given = [event.id for event in events if event.given]
    known = (yield from _known(topic, given)) if given else {}
    fresh: dict[str, Event] = {}
    placed: list[Placed] = []
    for event in events:
        created = event.id not in known and event.id not in fresh
        if created:
            fresh[event.id] = event
        placed.append(Placed(event.id, created))
    if fresh:
        yield from _insert(topic, [(event, event.key, None) for event in fresh.values()], now)
    return placed


def append(topic: TopicSpec, appends: Sequence[Append], now: int) -> Program[list[Result]]:
    """For each, in their order: the key's new version, or why not. The same given id again: what the first time came to."""
    versions = yield from _versions(topic, appends)
    known = yield from _known(topic, [id for each in appends if each.given is not None for id in _ids(each)])
    fresh: list[Placing] = []
    results: list[Result] = []
    for each in appends:
        version = versions.get(each.key, 0)
        result: Result | None = None if each.given is None else _again(each, known)
        if result is None and each.expected is not None and each.expected != version:
            result = Conflict(each.expected, version)
        if result is None:
            for event in each.events:
                version += 1
                fresh.append((event, each.key, version))
                if event.given:
                    known[event.id] = version
            versions[each.key] = result = version
        results.append(result)
    if fresh:
        yield from _insert(topic, fresh, now)
    return results


def _ids(append: Append) -> list[str]:
    """What has to be known, or not, for it to be the same append again: its events, and that there was no further one."""
    return [*(event.id for event in append.events), append.id_of(len(append.events) + 1)]


def _again(append: Append, known: Mapping[str, int | None]) -> int | Reused | None:
    """What the first append of its id came to; None: there was none."""
    *before, beyond = [known.get(id) for id in _ids(append)]
    if beyond is None and all(each is None for each in before):
        return None
    last = before[-1]
    return Reused() if beyond is not None or last is None or None in before else last


def _versions(topic: TopicSpec, appends: Sequence[Append]) -> Program[dict[str, int]]:
    keys = msgspec.json.encode(list({each.key for each in appends})).decode()
    return {key: version or 0 for key, version in (yield Statement("versions", {"topic": topic.name, "keys": keys}))}


def _known(topic: TopicSpec, ids: Sequence[str]) -> Program[dict[str, int | None]]:
    """Versions by id."""
    if not ids:
        return {}
    rows = yield Statement("known_events", {"topic": topic.name, "ids": msgspec.json.encode(ids).decode()})
    return {row[0]: row[1] for row in rows}


def _insert(topic: TopicSpec, events: Sequence[Placing], now: int) -> Program[None]:
    place = yield from advance(topic, len(events))
    number = number_of(place)
    values: list[object] = []
    for event, key, version in events:
        values += (place, number, event.id, event.type, key, version, now, event.given, event.headers, event.body)
        place += 1
    yield Statement("append_events", values=values, width=_WIDTH)
