"""Where the JSON of a run goes."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

from penstock.cli.bench.command import FULL_DEPTH
from penstock.cli.bench.plan import Plan

RESULTS = Path(__file__).with_name("results")
ROUNDS = 5


def result(name: str) -> Path:
    """What docs/benchmarks.md is made from: of this Python."""
    return RESULTS / f"{name}-python{platform.python_version()}.json"


def kept(name: str, plan: Plan, compared: Sequence[str], everyone: bool) -> Path:
    """A run of a part does not take the place of a whole one. `everyone`: no peer is left out."""
    whole = everyone and plan.rounds >= ROUNDS and plan.depth >= FULL_DEPTH and set(compared) <= set(plan.only)
    path = result(name if whole else f"part-of-{name}")
    path.parent.mkdir(exist_ok=True)
    return path
