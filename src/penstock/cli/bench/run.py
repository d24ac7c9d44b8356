"""A run: rounds of all measures, one after the other, so that a slow minute of the machine falls on all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from penstock.cli.bench import machine
from penstock.cli.bench.lines import Here
from penstock.cli.bench.measures import draining, enqueueing, publishing, resting, transacting
from penstock.cli.bench.measures.bench import Bench, Measure
from penstock.cli.bench.plan import Plan, Sample, percentiles
from penstock.cli.bench.report import Report
from penstock.cli.bench.stores import Stores

MEASURES: Mapping[str, Measure] = {
    "enqueue": enqueueing.enqueue,
    "concurrent": enqueueing.concurrent,
    "many": enqueueing.many,
    "drain": draining.drain,
    "two": draining.two,
    "keyed": draining.keyed,
    "batch": draining.batch,
    "tx": transacting.transactions,
    "lock": transacting.lock,
    "publish": publishing.publish,
    "append": publishing.append,
    "read": publishing.read,
    "deliver": publishing.deliver,
    "feed": publishing.feed,
    "arrival": publishing.arrival,
    "latency": resting.latency,
    "idle": resting.idle,
}
ONCE = ("idle",)
"""In the first round only: they take their time, and vary little."""


def run(plan: Plan, parent: Path, tell: Callable[[str], None]) -> Report:
    """In a folder of its own below `parent`, which is removed at the end."""
    began = time.monotonic()
    samples: list[Sample] = []
    fsyncs: list[list[float]] = []
    spawns: list[float] = []
    rounds = 0
    with TemporaryDirectory(prefix="penstock-bench-", dir=parent) as name:
        folder = Path(name).resolve()
        bench = Bench(plan, Stores(folder))
        facts = machine.describe(folder)
        for number in range(plan.rounds):
            if number and plan.limit and _over(began, number, plan.limit):
                break
            for measure in plan.only:
                if number == 0 or measure not in ONCE:
                    tell(f"round {number + 1} of {plan.rounds}: {measure}")
                    fsyncs.append(machine.fsync_seconds(folder, plan.probe))
                    spawns.append(machine.spawn_rate(plan.probe))
                    samples += MEASURES[measure](bench)
            rounds = number + 1
    return Report({**facts, "folder": str(parent)}, _here(fsyncs, spawns), rounds, samples)


def _over(began: float, rounds: int, limit: float) -> bool:
    """One more round as long as those before would end after the limit."""
    spent = time.monotonic() - began
    return spent + spent / rounds > limit


def _here(fsyncs: list[list[float]], spawns: list[float]) -> Here:
    rate = median(len(taken) / sum(taken) for taken in fsyncs)
    return Here(rate, median(spawns), percentiles(each for taken in fsyncs for each in taken).p99)
