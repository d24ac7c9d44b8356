"""What a log promises."""

from __future__ import annotations

from penstock.testing.conformance.seeking import SeekingConformance
from penstock.testing.conformance.subscriptions import SubscriptionConformance
from penstock.testing.conformance.topics import TopicConformance


class LogConformance(TopicConformance, SubscriptionConformance, SeekingConformance):
    """Kept in order, fed, and sought."""
