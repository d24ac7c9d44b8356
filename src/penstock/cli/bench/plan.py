"""How much is measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Plan:
    """Counts of jobs, and seconds."""

    depth: int
    rounds: int
    limit: float
    """No round begins after so many seconds; 0: all do."""
    only: Sequence[str]
    probe: float = 0.05
    """Seconds that the disk is measured for before each measure; the core takes as long."""
    idle: float = 5.0

    @property
    def singles(self) -> int:
        return max(50, min(4_000, self.depth // 50))

    @property
    def transactions(self) -> int:
        return max(100, min(4_000, self.depth // 20))

    @property
    def moments(self) -> int:
        """At 100 a second."""
        return max(20, min(500, self.depth // 200))


class Spent(NamedTuple):
    """Of the server: bytes of write-ahead log, and transactions. In a sample, those of one job."""

    wal: float
    commits: float

    def each(self, before: Spent, count: int) -> Spent:
        return Spent((self.wal - before.wal) / count, (self.commits - before.commits) / count)


@dataclass(frozen=True)
class Sample:
    """One line's figures in one round. Rates a second; `p50` and `p99` in ms; `cpu` in seconds for 1,000 jobs; `rss` in MiB."""

    line: str
    value: float
    raw: float | None = None
    p50: float | None = None
    p99: float | None = None
    cpu: float | None = None
    rss: float | None = None
    fsyncs: int | None = None
    depth: int | None = None
    spent: Spent | None = None
    peer: str | None = None
    """Who did this instead of Penstock."""


class Percentiles(NamedTuple):
    """In ms."""

    p50: float
    p99: float


def percentiles(seconds: Iterable[float]) -> Percentiles:
    ordered = sorted(seconds)
    return Percentiles(*(1000 * ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.99)))
