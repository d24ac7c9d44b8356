"""A run: rounds of all measures, one after the other, so that a slow minute of the machine falls on all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from penstock.cli.bench import machine
from penstock.cli.bench.lines import LINES, Here, Line
from penstock.cli.bench.lines import ON_SERVERS as LINES_ON_SERVERS
from penstock.cli.bench.measures import draining, enqueueing, publishing, resting, transacting
from penstock.cli.bench.measures.bench import Bench, Measure
from penstock.cli.bench.plan import Plan, Sample, percentiles
from penstock.cli.bench.report import Report
from penstock.cli.bench.sites import Sites

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


@dataclass(frozen=True)
class Kind:
    """What is measured on one kind of store."""

    measures: Mapping[str, Measure]
    lines: Mapping[str, Line]


ON_FILES = Kind(MEASURES, LINES)
ON_SERVERS = Kind(
    {name: measure for name, measure in MEASURES.items() if name != "lock"} | {"writers": publishing.writers}, LINES_ON_SERVERS
)
"""Nobody waits for a write lock there."""
ONCE = ("idle",)
"""In the first round only: they take their time, and vary little."""


def run(plan: Plan, sites: Sites, tell: Callable[[str], None], kind: Kind, folder: Path) -> Report:
    """`folder`: for the probe of the disk."""
    began = time.monotonic()
    samples: list[Sample] = []
    fsyncs: list[list[float]] = []
    spawns: list[float] = []
    rounds = 0
    bench = Bench(plan, sites)
    facts = {**machine.describe(folder), **sites.facts()}
    for number in range(plan.rounds):
        if number and plan.limit and _over(began, number, plan.limit):
            break
        for measure in plan.only:
            if number == 0 or measure not in ONCE:
                tell(f"round {number + 1} of {plan.rounds}: {measure}")
                fsyncs.append(machine.fsync_seconds(folder, plan.probe))
                spawns.append(machine.spawn_rate(plan.probe))
                samples += kind.measures[measure](bench)
        rounds = number + 1
    return Report(facts, _here(fsyncs, spawns), rounds, samples, kind.lines)


def _over(began: float, rounds: int, limit: float) -> bool:
    """One more round as long as those before would end after the limit."""
    spent = time.monotonic() - began
    return spent + spent / rounds > limit


def _here(fsyncs: list[list[float]], spawns: list[float]) -> Here:
    rate = median(len(taken) / sum(taken) for taken in fsyncs)
    return Here(rate, median(spawns), percentiles(each for taken in fsyncs for each in taken).p99)
