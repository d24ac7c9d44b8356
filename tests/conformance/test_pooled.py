"""What goes another way behind a pooler: puts, claims, transactions, topics, feeds, schedules, polling. All of it: `whole_pooled.py`."""

from penstock.testing.conformance.joining import JoiningConformance
from penstock.testing.conformance.order import OrderConformance
from penstock.testing.conformance.putting import PuttingConformance
from penstock.testing.conformance.scheduling import SchedulingConformance
from penstock.testing.conformance.subscriptions import SubscriptionConformance
from penstock.testing.conformance.timekeeping import TimekeepingConformance
from penstock.testing.conformance.transactions import TransactionConformance
from tests.conformance.pooled_backend import OnPooled


class TestPooled(
    OnPooled,
    PuttingConformance,
    OrderConformance,
    TransactionConformance,
    JoiningConformance,
    SubscriptionConformance,
    SchedulingConformance,
    TimekeepingConformance,
): ...
