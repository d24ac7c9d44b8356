"""What the measures share: the plan, the stores, and the raw driver's scripts, each recorded once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from penstock.cli.bench.plan import Plan, Sample
from penstock.cli.bench.raw import Script
from penstock.cli.bench.stores import Stores

Measure: TypeAlias = "Callable[[Bench], Iterable[Sample]]"


class Bench:
    def __init__(self, plan: Plan, stores: Stores) -> None:
        self.plan = plan
        self.stores = stores
        self._scripts: dict[str, Script] = {}

    def raw(self, name: str, fresh: Callable[[], Path], record: Callable[[Path], Script]) -> float:
        """The raw driver's rate with a script, on a fresh copy of the store that it was recorded on."""
        if name not in self._scripts:
            store = fresh()
            self._scripts[name] = record(store)
            self.stores.drop(store)
        script = self._scripts[name]
        store = fresh()
        seconds = script.replay(store)
        self.stores.drop(store)
        return script.count / seconds
