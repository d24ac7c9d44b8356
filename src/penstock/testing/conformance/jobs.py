"""What jobs promise beyond their order: again, in time, one at a time, one after the other, seen from outside, over restarts."""

from __future__ import annotations

from penstock.testing.conformance.chains import ChainConformance
from penstock.testing.conformance.expiry import ExpiryConformance
from penstock.testing.conformance.following import FollowConformance
from penstock.testing.conformance.restarts import RestartConformance
from penstock.testing.conformance.retry import RetryConformance
from penstock.testing.conformance.uniques import UniqueConformance, UniqueReplayConformance


class JobConformance(
    RetryConformance,
    ExpiryConformance,
    UniqueConformance,
    UniqueReplayConformance,
    ChainConformance,
    FollowConformance,
    RestartConformance,
):
    """A job, not a message."""
