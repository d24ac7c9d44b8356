"""The lines of the report: what each says, and what it should say on this machine.

Targets are given for a disk with 5,300 synced appends a second and a core with 212,000 asyncio tasks a second. A rate is the
time of one job: so many synced commits, and the rest is the core's; each part is scaled by what this machine's disk and core
did in the same run. A p99 is scaled by the core, and allowed four times what the disk's own p99 of a sync was. Ratios, memory
and the idle worker are not scaled.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from penstock.cli.bench.machine import REFERENCE_FSYNC, REFERENCE_SPAWN

Kind: TypeAlias = Literal["none", "ratio", "rate", "cpu", "ceiling", "p99"]
COSTS = ("s", "ms", "µs", "MiB", "%")
"""Units of what there should be little of."""


@dataclass(frozen=True)
class Here:
    """Medians of this run. `fsync_p99` in ms."""

    fsync: float
    spawn: float
    fsync_p99: float

    @property
    def disk(self) -> float:
        """How much faster than the one that the targets are for."""
        return self.fsync / REFERENCE_FSYNC

    @property
    def core(self) -> float:
        return self.spawn / REFERENCE_SPAWN


@dataclass(frozen=True)
class Line:
    title: str
    unit: str
    kind: Kind = "none"
    target: float = 0.0
    commits: float = 0.0
    """Synced commits that a job costs."""
    durability: str = ""
    raw: str = ""
    peers: float = 0.0
    """So many times the fastest peer, at least; where less is better, at most so many times the least. 0: peers are only printed."""
    but: Mapping[str, float] = field(default_factory=dict[str, float])
    """So many times these peers instead; 0: they are only printed."""

    def scaled(self, here: Here) -> float | None:
        """The target on this machine; None: the line is only printed."""
        match self.kind:
            case "none":
                return None
            case "ratio" | "ceiling":
                return self.target
            case "rate":
                disk = self.commits / REFERENCE_FSYNC
                return 1 / (disk / here.disk + (1 / self.target - disk) / here.core)
            case "cpu":
                return self.target / here.core
            case "p99":
                return max(self.target / here.core, 4 * here.fsync_p99)

    @property
    def is_cost(self) -> bool:
        """Less is better."""
        return self.unit in COSTS

    def best(self, values: Mapping[str, float]) -> str | None:
        """Whose is the best of the peers' values."""
        return (min if self.is_cost else max)(values, key=lambda name: values[name], default=None)

    def wanted(self, peers: Mapping[str, float]) -> float | None:
        """What they set: the hardest of it."""
        asked = [times * value for name, value in peers.items() if (times := self.but.get(name, self.peers))]
        return (min if self.is_cost else max)(asked, default=None)

    def beats(self, value: float, peers: Mapping[str, float]) -> bool | None:
        wanted = self.wanted(peers)
        return None if wanted is None else value <= wanted if self.is_cost else value >= wanted

    def holds(self, value: float, ratio: float | None, here: Here) -> bool | None:
        wanted = self.scaled(here)
        if wanted is None:
            return None
        if self.kind == "ratio":
            return ratio is not None and ratio >= wanted
        return value >= wanted if self.kind == "rate" else value <= wanted


_DRAIN, _TIMES = (60_000, 8) if sys.version_info >= (3, 12) else (45_000, 5)
_AT_MOST_ONCE: Mapping[str, float] = {"Huey (SQLite)": 0.0}
"""A job that has been taken is lost with its worker. That is less than what is compared, so its takes are printed only."""
_BUT: Mapping[str, float] = {"PgQueuer": 3.0, **_AT_MOST_ONCE}
_POWER = "power: each commit synced"
_RELAXED = "power: claims and settles unsynced"

LINES: Mapping[str, Line] = {
    "enqueue": Line("enqueue, awaited one by one", "/s", "ratio", 0.6, 1, _POWER, "a transaction each"),
    "concurrent": Line("enqueue, 100 clients at once", "/s", "rate", 60_000, 1 / 100, _POWER, "100 a transaction", 5),
    "many": Line("enqueue_many(1000)", "/s", "rate", 150_000, 1 / 1000, _POWER, "1,000 a transaction"),
    "drain": Line("drain, one worker process", "/s", "rate", _DRAIN, 0, _RELAXED, "claim and settle of 256", _TIMES, _BUT),
    "two": Line("drain, two worker processes", "/s", "none", 0, 0, _RELAXED, "claim and settle of 256"),
    "keyed": Line("drain, 1,000 keys", "/s", "rate", 30_000, 0, _RELAXED, "claim and settle of 256"),
    "batch": Line("drain by a batch handler", "/s", "rate", 120_000, 0, _RELAXED, "claim and settle of 256"),
    "tx": Line("handlers with tx", "/s", "ratio", 0.5, 1, _POWER, "row, follow-up and settle in a transaction each"),
    "lock-queued": Line("others' wait for the write lock, p99", "ms", durability="beside tx: at Penstock's lock"),
    "lock-foreign": Line("the same, not knowing of Penstock", "ms", durability="beside tx: SQLite's busy handler"),
    "publish": Line("publish, awaited one by one", "/s", durability=_POWER, raw="a transaction each"),
    "publish-together": Line("publish, 100 clients at once", "/s", "rate", 50_000, 1 / 100, _POWER, "100 a transaction"),
    "publish-many": Line("publish_many(1000)", "/s", "rate", 150_000, 1 / 1000, _POWER, "1,000 a transaction"),
    "append": Line("append to a key, awaited one by one", "/s", "ratio", 0.6, 1, _POWER, "a transaction each"),
    "append-together": Line("append, 100 writers at once", "/s", "rate", 40_000, 1 / 100, _POWER, "100 a transaction"),
    "read": Line("read of a key of 100 events", "/s", "rate", 3_500),
    "replay": Line("replay of all events", "/s", "rate", 300_000),
    "deliver-1": Line("events to 1 subscription, handled", "/s", "rate", 30_000, 0, _RELAXED),
    "deliver-2": Line("to 2 subscriptions, deliveries", "/s", "rate", 30_000, 0, _RELAXED),
    "deliver-8": Line("to 8 subscriptions, deliveries", "/s", "rate", 30_000, 0, _RELAXED),
    "feed": Line("CPU to feed one event to one subscription", "µs", "cpu", 2.0, durability="feeds unsynced"),
    "arrival-p50": Line("publish's call to its handler, p50", "ms", "cpu", 2.0, durability=_POWER),
    "arrival-p99": Line("publish's call to its handler, p99", "ms", "p99", 5.0, durability=_POWER),
    "latency-return-p50": Line("enqueue's return to start, p50", "ms", "cpu", 1.0, durability=_POWER),
    "latency-return-p99": Line("enqueue's return to start, p99", "ms", "p99", 3.0, durability=_POWER),
    "latency-call-p50": Line("enqueue's call to start, p50", "ms", durability=_POWER, peers=1, but=_AT_MOST_ONCE),
    "latency-call-p99": Line("enqueue's call to start, p99", "ms", durability=_POWER, peers=1.5, but=_AT_MOST_ONCE),
    "cpu": Line("CPU for 1,000 jobs of the drain", "s", "cpu", 0.02, durability=_RELAXED),
    "cpu-all": Line("CPU for them of worker and server", "s", durability=_RELAXED, peers=1 / 3, but=_AT_MOST_ONCE),
    "rss": Line("memory of its process at most", "MiB", "ceiling", 60),
    "idle": Line("an idle worker, of a core", "%", "ceiling", 1.0),
}

_ON_SERVER = "each commit synced"
_RELAXED_THERE = "claims and settles unsynced"

ON_SERVERS: Mapping[str, Line] = {
    **{name: replace(line, kind="none", peers=0, but={}) for name, line in LINES.items() if not name.startswith("lock")},
    "concurrent": replace(LINES["concurrent"], target=20_000, peers=1),
    "many": replace(LINES["many"], target=100_000, peers=1),
    "drain": replace(LINES["drain"], kind="ratio", target=0.3, peers=2, but={}, durability=_RELAXED_THERE),
    "two": replace(LINES["two"], kind="ratio", target=0.3, peers=2, durability=_RELAXED_THERE),
    "cpu": replace(LINES["cpu"], kind="cpu", target=0.03, peers=1),
    "tx": replace(LINES["tx"], target=0.6, raw="the same by 16 connections"),
    "append-together": replace(LINES["append-together"], kind="none", raw="by 100 connections"),
    "writers": Line("append by 16 writers apart", "/s", "rate", 10_000, 1 / 16, _ON_SERVER, "by 16 connections", 1),
    "writers-together": Line("append by 16 writers of one app", "/s", "rate", 10_000, 1 / 16, _ON_SERVER, "by 16 connections", 1),
    "latency-return-p50": replace(LINES["latency-return-p50"], target=2.0),
    "latency-return-p99": replace(LINES["latency-return-p99"], target=5.0),
    "latency-call-p50": replace(LINES["latency-call-p50"], kind="cpu", target=2.0, peers=0, but={}),
    "latency-call-p99": replace(LINES["latency-call-p99"], kind="p99", target=5.0, peers=0, but={}),
}
"""On PostgreSQL. What a file has a target for, and a server has not, is only printed."""
