"""How long the machines of these tests run, and how thoroughly."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings

PATIENT = pytest.mark.timeout(600)
"""It takes seconds; but what fails is made small before it is shown."""


def thorough(max_examples: int) -> settings:
    """The same examples each time."""
    return settings(
        max_examples=max_examples,
        stateful_step_count=40,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
