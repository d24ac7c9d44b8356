"""Publishing and appending: a few statements a topic, however many events there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from penstock.errors import VersionConflict
from penstock.model.log import Append, Conflict, Event, TopicSpec
from penstock.model.message import Placed
from penstock.model.statement import Program, Statement
from penstock.stores.sqlite.topics import advance, number_of

_WIDTH = 9

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


def append(topic: TopicSpec, appends: Sequence[Append], now: int) -> Program[list[int | Conflict]]:
    """For each, in their order: the key's new version, or why not. Given ids that are known: what the first time came to."""
    versions = yield from _versions(topic, appends)
    known = yield from _known(topic, [event.id for each in appends for event in each.events if event.given])
    fresh: list[Placing] = []
    results: list[int | Conflict] = []
    for each in appends:
        result = _decide(each, versions.get(each.key, 0), known)
        if isinstance(result, list):
            fresh += result
            known.update((event.id, version) for event, _, version in result if event.given)
            versions[each.key] = last = result[-1][2] or 0
            results.append(last)
        else:
            results.append(result)
    if fresh:
        yield from _insert(topic, fresh, now)
    return results


def agreed(append: Append, result: int | Conflict) -> int:
    """The new version. Raises VersionConflict."""
    if isinstance(result, Conflict):
        raise VersionConflict(
            f"append to {append.topic.name} {append.key!r}: expected version {result.expected}, it is {result.actual}; "
            "read it again and decide anew"
        )
    return result


def append_one(append_: Append, now: int) -> Program[int | Conflict]:
    return (yield from append(append_.topic, [append_], now))[0]


def _decide(append: Append, version: int, known: dict[str, int | None]) -> list[Placing] | int | Conflict:
    events = append.events
    if events[-1].given and (before := known.get(events[-1].id)) is not None:
        return before
    if append.expected is not None and append.expected != version:
        return Conflict(append.expected, version)
    return [(event, append.key, version + number) for number, event in enumerate(events, 1)]


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
        values += (place, number, event.id, event.type, key, version, now, event.headers, event.body)
        place += 1
    yield Statement("append_events", values=values, width=_WIDTH)
