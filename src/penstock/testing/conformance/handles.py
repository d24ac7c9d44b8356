"""A handle on a store: what it does when it is closed, and when its connections break."""

from __future__ import annotations

from penstock.testing.conformance.closing import ClosingConformance
from penstock.testing.conformance.reconnecting import ReconnectingConformance


class HandleConformance(ClosingConformance, ReconnectingConformance):
    """Closed, and connected again."""
