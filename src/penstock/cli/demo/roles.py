"""Who keeps house and who feeds: the leases of roles, from the store's own table. For the demo, which wants to kill them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

from penstock.cli.demo.plan import Plan
from penstock.cli.demo.tables import leases, rows

Role: TypeAlias = Literal["feeder", "scheduler"]
Held: TypeAlias = Mapping[int, frozenset[Role]]
"""By the worker's incarnation."""


def held(plan: Plan) -> Held:
    return sorted_out((role, owner) for role, owner in rows(plan.store, f"select role, owner from {leases(plan.store)}"))


def sorted_out(leases: Iterable[tuple[str, int]]) -> Held:
    """A lease stands there until somebody else has it: its owner may be dead."""
    found: defaultdict[int, set[Role]] = defaultdict(set)
    for role, owner in leases:
        if role == "maintenance":
            found[owner].add("scheduler")
        elif role.startswith("feed:"):
            found[owner].add("feeder")
    return {owner: frozenset(roles) for owner, roles in found.items()}
