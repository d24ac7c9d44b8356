"""What was measured, for humans and for programs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import click

from penstock.cli import tables
from penstock.cli.bench.lines import Here, Line
from penstock.cli.bench.machine import REFERENCE_FSYNC, REFERENCE_SPAWN
from penstock.cli.bench.plan import Sample

VERDICTS: Mapping[bool | None, str] = {True: "ok", False: "MISSED", None: ""}


@dataclass(frozen=True)
class Row:
    """The medians of a line's rounds; a ratio is that of each round. `peers`: what others came to, by their names."""

    line: Line
    samples: Sequence[Sample]
    here: Here
    peers: Mapping[str, Sequence[Sample]]

    @property
    def value(self) -> float:
        return median(sample.value for sample in self.samples)

    @property
    def beside(self) -> Mapping[str, float]:
        return {name: median(sample.value for sample in samples) for name, samples in self.peers.items()}

    @property
    def best_peer(self) -> str | None:
        return self.line.best(self.beside)

    @property
    def best(self) -> float | None:
        return None if self.best_peer is None else self.beside[self.best_peer]

    def median(self, values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return median(known) if known else None

    @property
    def ratio(self) -> float | None:
        return self.median(sample.value / sample.raw if sample.raw else None for sample in self.samples)

    @property
    def ok(self) -> bool | None:
        verdicts = {self.line.holds(self.value, self.ratio, self.here), self.line.beats(self.value, self.beside)} - {None}
        return all(verdicts) if verdicts else None

    def figures(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "raw": self.median(sample.raw for sample in self.samples),
            "ratio": self.ratio,
            "p50_ms": self.median(sample.p50 for sample in self.samples),
            "p99_ms": self.median(sample.p99 for sample in self.samples),
            "cpu_s_per_1000": self.median(sample.cpu for sample in self.samples),
            "rss_mib": self.median(sample.rss for sample in self.samples),
            "fsyncs": self.median(sample.fsyncs for sample in self.samples),
            "depth": self.samples[0].depth,
            "wal_bytes": self.median(sample.spent and sample.spent.wal for sample in self.samples),
            "commits": self.median(sample.spent and sample.spent.commits for sample in self.samples),
        }

    def as_json(self) -> dict[str, Any]:
        target = {"kind": self.line.kind, "reference": self.line.target, "here": self.line.scaled(self.here), "ok": self.ok}
        return {
            "title": self.line.title,
            "unit": self.line.unit,
            **self.figures(),
            "target": None if self.line.kind == "none" else target,
            "ok": self.ok,
            "durability": self.line.durability,
            "raw_is": self.line.raw,
            "peers": self.beside,
            "best_peer": self.best and {"name": self.best_peer, "ratio": self.value / self.best},
            "against_peers": {
                "asked": self.line.peers,
                "but": self.line.but,
                "wanted": self.line.wanted(self.beside),
                "ok": self.line.beats(self.value, self.beside),
            },
            "rounds": [asdict(sample) for sample in (*self.samples, *(each for found in self.peers.values() for each in found))],
        }


@dataclass(frozen=True)
class Report:
    machine: Mapping[str, object]
    here: Here
    rounds: int
    samples: Sequence[Sample]
    lines: Mapping[str, Line]

    @property
    def rows(self) -> Mapping[str, Row]:
        own: defaultdict[str, list[Sample]] = defaultdict(list)
        peers: defaultdict[str, defaultdict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
        for sample in self.samples:
            (own[sample.line] if sample.peer is None else peers[sample.line][sample.peer]).append(sample)
        return {name: Row(line, own[name], self.here, peers[name]) for name, line in self.lines.items() if own[name]}

    @property
    def missed(self) -> list[str]:
        return [name for name, row in self.rows.items() if row.ok is False]

    def as_json(self) -> dict[str, Any]:
        here = {"fsync_per_s": self.here.fsync, "fsync_p99_ms": self.here.fsync_p99, "spawn_per_s": self.here.spawn}
        return {
            "machine": {**self.machine, **here, "disk": self.here.disk, "core": self.here.core},
            "reference": {"fsync_per_s": REFERENCE_FSYNC, "spawn_per_s": REFERENCE_SPAWN},
            "rounds": self.rounds,
            "lines": {name: row.as_json() for name, row in self.rows.items()},
            "missed": self.missed,
        }

    def show(self) -> None:
        rows = list(self.rows.values())
        figures = [row.figures() for row in rows]
        tables.show_table(
            [
                tables.Column("", [row.line.title for row in rows]),
                tables.Column("here", [f"{_number(row.value)} {row.line.unit}" for row in rows], right=True),
                tables.Column("raw", [_number(each["raw"]) for each in figures], right=True),
                tables.Column("ratio", ["" if row.ratio is None else f"{row.ratio:.2f}" for row in rows], right=True),
                tables.Column("target", [_target(row) for row in rows], right=True),
                tables.Column("", [VERDICTS[row.ok] for row in rows]),
                tables.Column("p50 ms", [_number(each["p50_ms"]) for each in figures], right=True, drop=3),
                tables.Column("p99 ms", [_number(each["p99_ms"]) for each in figures], right=True, drop=2),
                tables.Column("CPU s/1000", [_small(each["cpu_s_per_1000"]) for each in figures], right=True, drop=1),
                tables.Column("MiB", [_number(each["rss_mib"]) for each in figures], right=True, drop=4),
                tables.Column("fsyncs", [_number(each["fsyncs"]) for each in figures], right=True, drop=5),
                tables.Column("jobs", [_number(each["depth"]) for each in figures], right=True, drop=6),
                tables.Column("WAL B", [_number(_whole(each["wal_bytes"])) for each in figures], right=True, drop=7),
                tables.Column("commits", [_small(each["commits"]) for each in figures], right=True, drop=7),
                tables.Column("durability", [row.line.durability for row in rows], drop=7),
                tables.Column("raw is", [row.line.raw for row in rows], drop=8),
            ]
        )
        click.echo()
        for row in rows:
            for name, value in row.beside.items():
                click.echo(f"{row.line.title}: {name} {_number(value)} {row.line.unit}, Penstock {row.value / value:.2f} ×")
        for line in self.legend():
            click.echo(line)

    def legend(self) -> list[str]:
        machine, here = self.machine, self.here
        return [
            f"penstock {machine['penstock']} ({machine['commit'] or 'no checkout'}), Python {machine['python']}, "
            f"{machine['database']}, {machine['system']}, {machine['cores']} cores, load {machine['load']}",
            f"disk: {here.fsync:,.0f} synced appends/s, p99 {here.fsync_p99:.2f} ms, {machine['filesystem']} "
            f"({here.disk:.2f} × the reference, {REFERENCE_FSYNC:,.0f}); "
            f"core: {here.spawn:,.0f} asyncio tasks/s ({here.core:.2f} × the reference, {REFERENCE_SPAWN:,.0f})",
            f"Medians of {self.rounds} rounds. raw: the plain driver ({machine['raw']}), in the same round. Targets are scaled to",
            "this disk and core, ratios, memory and idleness excepted. fsyncs: synced commits, counted by the times that they left",
            "in the store (one each; checkpoints are not counted). Jobs, WAL and commits are those of one job, or event.",
        ]


def _target(row: Row) -> str:
    """The harder one of the line's own and what the peers set; both where they are of different kinds."""
    line, wanted = row.line, row.line.scaled(row.here)
    others = line.wanted(row.beside)
    if wanted is None and others is None:
        return ""
    if line.kind == "ratio":
        return ", ".join([f"≥ {wanted:g} × raw", *(f"{_number(round(rate))} {line.unit}" for rate in (others,) if rate is not None)])
    known = [each for each in (wanted, others) if each is not None]
    return f"≤ {_small(min(known))} {line.unit}" if line.is_cost else f"≥ {_number(max(map(round, known)))} {line.unit}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"


def _small(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _whole(value: float | None) -> float | None:
    return None if value is None else round(value)
