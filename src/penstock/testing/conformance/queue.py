"""What a queue promises."""

from __future__ import annotations

from penstock.testing.conformance.cancelling import CancellingConformance
from penstock.testing.conformance.dead_letters import DeadLetterConformance
from penstock.testing.conformance.jobs import JobConformance
from penstock.testing.conformance.leases import LeaseConformance
from penstock.testing.conformance.order import OrderConformance
from penstock.testing.conformance.payloads import PayloadConformance
from penstock.testing.conformance.putting import PuttingConformance
from penstock.testing.conformance.routing import RoutingConformance


class QueueConformance(
    PuttingConformance,
    OrderConformance,
    DeadLetterConformance,
    LeaseConformance,
    CancellingConformance,
    JobConformance,
    RoutingConformance,
    PayloadConformance,
):
    """In, out, in order, again, and over."""
