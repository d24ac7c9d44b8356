"""What a store promises: everything."""

from __future__ import annotations

from penstock.testing.conformance.atomicity import AtomicityConformance
from penstock.testing.conformance.handles import HandleConformance
from penstock.testing.conformance.history import HistoryConformance
from penstock.testing.conformance.limits import LimitConformance
from penstock.testing.conformance.log import LogConformance
from penstock.testing.conformance.queue import QueueConformance
from penstock.testing.conformance.scheduling import SchedulingConformance
from penstock.testing.conformance.timekeeping import TimekeepingConformance


class StoreConformance(
    QueueConformance,
    LimitConformance,
    HistoryConformance,
    AtomicityConformance,
    TimekeepingConformance,
    LogConformance,
    SchedulingConformance,
    HandleConformance,
):
    """One class to inherit."""
