"""Declaring topics and subscriptions."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from penstock.errors import ConfigurationError
from penstock.model.log import Append, SubscriptionSpec, TopicSpec
from penstock.model.statement import Program, Statement
from penstock.stores.sql.dialect import Dialect


def plain(topic: TopicSpec) -> TopicSpec:
    """Raises ConfigurationError for one whose events have versions: one without would be in no key's history."""
    if topic.versioned:
        raise ConfigurationError(f"topic {topic.name!r} is versioned: append to it, which says what version is expected")
    return topic


def versioned(append: Append) -> Append:
    """Raises ConfigurationError for one to a topic whose events have no versions."""
    if not append.topic.versioned:
        raise ConfigurationError(f"topic {append.topic.name!r} is not versioned: publish to it, or declare it with versioned=True")
    return append


def declare(subscriptions: Iterable[SubscriptionSpec], topics: Iterable[TopicSpec], now: int, dialect: Dialect) -> Program[None]:
    """Raises ConfigurationError for what is in the store as something else."""
    subscriptions = list(subscriptions)
    yield from dialect.alone("topics")
    for topic in dict.fromkeys([*topics, *(each.topic for each in subscriptions)]):
        yield from declare_topic(topic)
    for subscription in subscriptions:
        yield from _register(subscription, now)


def declare_topic(topic: TopicSpec) -> Program[None]:
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
