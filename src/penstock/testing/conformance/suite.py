"""What a store promises: everything."""

from __future__ import annotations

from penstock.testing.conformance.history import HistoryConformance
from penstock.testing.conformance.joining import JoiningConformance
from penstock.testing.conformance.queue import QueueConformance
from penstock.testing.conformance.sharing import SharingConformance
from penstock.testing.conformance.transactions import TransactionConformance


class StoreConformance(QueueConformance, HistoryConformance, TransactionConformance, SharingConformance, JoiningConformance):
    """One class to inherit."""
