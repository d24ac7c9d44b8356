"""What a store promises: everything."""

from __future__ import annotations

from penstock.testing.conformance.history import HistoryConformance
from penstock.testing.conformance.joining import JoiningConformance
from penstock.testing.conformance.limits import LimitConformance
from penstock.testing.conformance.log import LogConformance
from penstock.testing.conformance.queue import QueueConformance
from penstock.testing.conformance.scheduling import SchedulingConformance
from penstock.testing.conformance.sharing import SharingConformance
from penstock.testing.conformance.transactions import TransactionConformance


class StoreConformance(
    QueueConformance,
    LimitConformance,
    HistoryConformance,
    TransactionConformance,
    SharingConformance,
    JoiningConformance,
    LogConformance,
    SchedulingConformance,
):
    """One class to inherit."""
