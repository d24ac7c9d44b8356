"""Topics: their numbers, and the places of their events.

An event's place is `topic number << 40 | position`, so that a topic's events lie together in the order of their commits, and
need no index of their own.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from penstock.errors import ConfigurationError
from penstock.model.log import SubscriptionSpec, TopicSpec
from penstock.model.statement import Program, Statement

_SHIFT = 40
_MASK = (1 << _SHIFT) - 1


def place(number: int, position: int) -> int:
    return number << _SHIFT | position


def position(place: int) -> int:
    return place & _MASK


def number_of(place: int) -> int:
    """Of its topic."""
    return place >> _SHIFT


def declare(subscriptions: Iterable[SubscriptionSpec], topics: Iterable[TopicSpec], now: int) -> Program[None]:
    """Raises ConfigurationError for what is in the store as something else."""
    subscriptions = list(subscriptions)
    for topic in dict.fromkeys([*topics, *(each.topic for each in subscriptions)]):
        yield from _declare_topic(topic)
    for subscription in subscriptions:
        yield from _register(subscription, now)


def _declare_topic(topic: TopicSpec) -> Program[None]:
    facts = {"name": topic.name, "versioned": topic.versioned, "retention": topic.retention, "retention_max": topic.retention_max}
    if not (yield Statement("declare_topic", facts)):
        there, here = ("not versioned", "versioned") if topic.versioned else ("versioned", "not versioned")
        raise ConfigurationError(
            f"topic {topic.name!r} is {there} in this store, and {here} in this program: give one of them another name"
        )


def _register(subscription: SubscriptionSpec, now: int) -> Program[None]:
    types = None if subscription.types is None else msgspec.json.encode(subscription.types).decode()
    facts = {"name": subscription.name, "topic": subscription.topic.name, "app": subscription.app, "types": types}
    if not (
        yield Statement(
            "register_subscription", {**facts, "hold": subscription.hold, "from_now": subscription.start == "now", "since": now}
        )
    ):
        raise ConfigurationError(
            f"subscription {subscription.name!r} reads another topic than {subscription.topic.name!r} in this store: give it another name"
        )


def advance(topic: TopicSpec, count: int) -> Program[int]:
    """Take the next `count` places; the first of them. Makes the topic if it is not there yet."""
    take = Statement("advance_topic", {"name": topic.name, "versioned": topic.versioned, "count": count})
    rows = yield take
    if not rows:
        yield from _declare_topic(topic)
        rows = yield take
    number, first = rows[0]
    return place(number, first)
