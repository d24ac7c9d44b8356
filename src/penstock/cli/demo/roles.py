"""Who keeps house and who feeds: the leases of roles, from the store's own table. For the demo, which wants to kill them."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Literal, TypeAlias

from penstock.cli.demo.plan import Plan

Role: TypeAlias = Literal["feeder", "scheduler"]
Held: TypeAlias = Mapping[int, frozenset[Role]]
"""By the worker's incarnation."""


def held(plan: Plan) -> Held:
    with closing(sqlite3.connect(f"{plan.database.as_uri()}?mode=ro", uri=True)) as connection:
        return sorted_out(connection.execute("select role, owner from penstock_lease"))


def sorted_out(leases: Iterable[tuple[str, int]]) -> Held:
    """A lease stands there until somebody else has it: its owner may be dead."""
    found: defaultdict[int, set[Role]] = defaultdict(set)
    for role, owner in leases:
        if role == "maintenance":
            found[owner].add("scheduler")
        elif role.startswith("feed:"):
            found[owner].add("feeder")
    return {owner: frozenset(roles) for owner, roles in found.items()}
