"""What a log promises."""

from __future__ import annotations

from penstock.testing.conformance.subscriptions import SubscriptionConformance
from penstock.testing.conformance.topics import TopicConformance


class LogConformance(TopicConformance, SubscriptionConformance):
    """Kept in order, and fed."""
