"""Everything at once."""

from __future__ import annotations

from penstock.testing.conformance.cancelling import CancellingConformance
from penstock.testing.conformance.dead_letters import DeadLetterConformance
from penstock.testing.conformance.expiry import ExpiryConformance
from penstock.testing.conformance.history import HistoryConformance
from penstock.testing.conformance.joining import JoiningConformance
from penstock.testing.conformance.leases import LeaseConformance
from penstock.testing.conformance.order import OrderConformance
from penstock.testing.conformance.putting import PuttingConformance
from penstock.testing.conformance.retry import RetryConformance
from penstock.testing.conformance.routing import RoutingConformance
from penstock.testing.conformance.transactions import TransactionConformance


class QueueConformance(
    PuttingConformance,
    OrderConformance,
    RetryConformance,
    DeadLetterConformance,
    LeaseConformance,
    CancellingConformance,
    ExpiryConformance,
    RoutingConformance,
    HistoryConformance,
):
    """What a queue promises."""


class StoreConformance(QueueConformance, TransactionConformance, JoiningConformance):
    """What a store promises."""
