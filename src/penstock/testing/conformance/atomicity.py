"""What transactions promise, whoever opened them."""

from __future__ import annotations

from penstock.testing.conformance.joining import JoiningConformance
from penstock.testing.conformance.nesting import NestingConformance
from penstock.testing.conformance.sharing import SharingConformance
from penstock.testing.conformance.transactions import TransactionConformance


class AtomicityConformance(TransactionConformance, NestingConformance, SharingConformance, JoiningConformance):
    """Together, or not at all."""
