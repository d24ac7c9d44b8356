"""What the measures share: the plan, and what they measure on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from penstock.cli.bench.plan import Plan, Sample
from penstock.cli.bench.sites import Sites

Measure: TypeAlias = "Callable[[Bench], Iterable[Sample]]"


@dataclass(frozen=True)
class Bench:
    plan: Plan
    sites: Sites
