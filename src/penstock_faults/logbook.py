"""The log checker: what publishers said that they sent, against what the topics hold, and what a subscription heard of it.

The anomalies are those of Jepsen's checker for logs (jepsen.tests.kafka): lost and duplicated writes, reads of what nobody wrote,
writes of one sender out of its order, gaps in what a reader saw. A send that nobody was answered may be there or not, once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from penstock_faults.site import Site


@dataclass
class Sends:
    """By event id: `<what>-<lane><number>`."""

    tried: set[str] = field(default_factory=set)
    acknowledged: list[str] = field(default_factory=list)
    """In the order in which they were; of one lane that is the order in which they were sent."""


class Entry(NamedTuple):
    """An event, as the store has it."""

    topic: str
    place: int
    id: str
    """As it was sent: appends of one event each add its key and its number to theirs."""
    key: str | None
    version: int | None


@dataclass(frozen=True, kw_only=True)
class Anomalies:
    lost_events: list[str]
    """Acknowledged, and in no topic."""
    duplicated_events: list[str]
    unexpected_events: list[str]
    """In a topic, or heard, and nobody sent them."""
    disordered_events: list[str]
    """They lie before one that the same lane had sent before."""
    misplaced_versions: list[str]
    """Of a key: they do not count up from one, in the order of their places."""
    missed: list[str]
    """Events of the topic that the subscription has not heard."""
    heard_twice: list[str]


def entries(site: Site) -> list[Entry]:
    """All there are, in their order."""
    place = "pos" if site.server else "place"
    sql = f"select t.name, e.{place}, e.id, e.key, e.version from penstock_event e join penstock_topic t on t.number = e.topic"
    return sorted(
        (Entry(topic, place, id.split("#")[0], *rest) for topic, place, id, *rest in site.rows(sql)),
        key=lambda entry: (entry.topic, entry.place),
    )


def anomalies(sends: Sends, found: Sequence[Entry], heard: Mapping[str, int], topic: str) -> Anomalies:
    """`heard`: how often the subscription of `topic` has heard of each event."""
    places = {entry.id: entry.place for entry in found}
    there = Counter(entry.id for entry in found)
    wanted = {entry.id for entry in found if entry.topic == topic} | {
        event for event in sends.acknowledged if event.startswith(f"{topic}-")
    }
    return Anomalies(
        lost_events=sorted({*sends.acknowledged} - places.keys()),
        duplicated_events=sorted(event for event, count in there.items() if count > 1),
        unexpected_events=sorted((places.keys() | heard.keys()) - sends.tried),
        disordered_events=_disordered(sends.acknowledged, places),
        misplaced_versions=_misplaced(found),
        missed=sorted(event for event in wanted if event not in heard),
        heard_twice=sorted(event for event, count in heard.items() if count > 1),
    )


def _disordered(acknowledged: Sequence[str], places: Mapping[str, int]) -> list[str]:
    last: dict[str, int] = {}
    wrong: list[str] = []
    for event in acknowledged:
        if (place := places.get(event)) is None:
            continue
        lane = lane_of(event)
        if place <= last.get(lane, -1):
            wrong.append(event)
        last[lane] = max(place, last.get(lane, -1))
    return wrong


def _misplaced(found: Sequence[Entry]) -> list[str]:
    versions: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for entry in found:
        if entry.version is not None:
            versions[entry.topic, entry.key or ""].append(entry.version)
    return sorted(f"{topic} {key}" for (topic, key), own in versions.items() if own != [n + 1 for n in range(len(own))])


def lane_of(event: str) -> str:
    """Its kind and its lane: those of one lane are sent one after the other."""
    kind, number = event.split("-")
    return f"{kind}-{int(number) // LANE}"


LANE = 10_000_000
"""Events of one lane at the most."""
