"""`python -m benchmarks growth`: what a job costs as there is more of something, on a file or on a server.

    make bench ARGS="growth"                 # a SQLite file
    make bench ARGS="growth --on postgres"   # a PostgreSQL server of its own

One thing grows at a time: jobs that wait, bytes of a payload, keys, subscriptions, worker processes. For each size: µs of a job from the
first claim to the last settle (all processes together), medians of the rounds, and how many times that of the first size it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple, TypeAlias

import click

from benchmarks.kept import ROUNDS, result
from benchmarks.services import started, temporary
from penstock.cli import tables
from penstock.cli.bench import machine
from penstock.cli.bench.databases import Databases
from penstock.cli.bench.files import Files
from penstock.cli.bench.measures.bench import Bench
from penstock.cli.bench.measures.draining import drained
from penstock.cli.bench.measures.publishing import delivered
from penstock.cli.bench.plan import Plan
from penstock.cli.bench.report import VERDICTS
from penstock.cli.bench.sites import Sites

On: TypeAlias = Literal["sqlite", "postgres"]

LEAST = 20_000
"""Jobs that a figure stands for, in as many drains as it takes: a short one begins and ends before it is seen to."""
ALLOWED = {"depth": 1.3}
"""The last size may cost so many times the first one."""
PAYLOAD = "PENSTOCK_BENCH_PAYLOAD"


class Axis(NamedTuple):
    """`measure`: seconds of one job, with so many of it."""

    of: str
    sizes: Sequence[int]
    measure: Callable[[Sites, int, int], float]


@click.command()
@click.option("--on", type=click.Choice(["sqlite", "postgres"]), default="sqlite", show_default=True)
@click.option("--only", metavar="NAME,…", help="Some of depth, payload, keys, subscriptions, processes.")
@click.option("--most", type=click.IntRange(1_000), default=1_000_000, show_default=True, help="Jobs that wait at the most.")
@click.option("--rounds", type=click.IntRange(1), default=ROUNDS, show_default=True, help="Figures are medians of so many.")
@click.option("--json", "target", type=click.Path(path_type=Path), help="Where the JSON goes. Default: benchmarks/results.")
def growth(on: On, only: str | None, most: int, rounds: int, target: Path | None) -> None:
    """What a job costs as there is more of something."""
    chosen = {name: axis for name, axis in axes(most).items() if only is None or name in only.split(",")}
    if not chosen:
        raise click.BadParameter(f"{only}: there are {', '.join(axes(most))}", param_hint="--only")
    with temporary("penstock-bench-", Path.cwd()) as folder, places(on, folder) as place:
        fsync, spawn = machine.fsync_seconds(folder, 1.0), machine.spawn_rate(1.0)
        found = {name: grown(name, axis, place, rounds, most) for name, axis in chosen.items()}
        facts = {**machine.describe(folder), **place("plain").facts(), "fsync_per_s": 1 / median(fsync), "spawn_per_s": spawn}
    whole = only is None and most >= 1_000_000 and rounds >= ROUNDS
    path = target or result(f"growth-{on}" if whole else f"part-of-growth-{on}")
    path.parent.mkdir(exist_ok=True)
    allowed = {name: limit for name, limit in ALLOWED.items() if name in found}
    held = {name: found[name][-1]["times"] <= limit for name, limit in allowed.items()}
    report = {"machine": facts, "rounds": rounds, "growth": found, "allowed": allowed, "ok": held}
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    for name, sizes in found.items():
        click.echo(f"\n{axes(most)[name].of}")
        for size in sizes:
            click.echo(f"{size['size']:>12,}{size['us']:>10.1f} µs{size['times']:>8.2f} ×")
        if name in allowed:
            click.echo(f"at most {allowed[name]:g} ×: {VERDICTS[held[name]]}")


def axes(most: int) -> Mapping[str, Axis]:
    few = min(most, LEAST)
    return {
        "depth": Axis("jobs that wait", upto(1_000, most), lambda sites, size, _: drain(sites, size)),
        "payload": Axis("bytes of a payload", upto(100, 100_000), lambda sites, _, count: drain(sites, count)),
        "keys": Axis("keys", upto(1, min(most, 100_000)), lambda sites, size, _: drain(sites, max(size, few), keys=size)),
        "subscriptions": Axis("subscriptions", (1, 2, 4, 8, 16, 32), lambda sites, size, _: deliver(sites, size, few)),
        "processes": Axis("worker processes", (1, 2, 4), lambda sites, size, _: drain(sites, 10 * few, workers=size)),
    }


def upto(first: int, last: int) -> Sequence[int]:
    """Ten times as many each time."""
    sizes = [first]
    while sizes[-1] * 10 <= last:
        sizes.append(sizes[-1] * 10)
    return sizes


def grown(name: str, axis: Axis, place: Callable[[str], Sites], rounds: int, most: int) -> Sequence[Mapping[str, Any]]:
    """All sizes in each round, so that a slow minute falls on all of them."""
    taken: dict[int, list[float]] = {size: [] for size in axis.sizes}
    for number in range(rounds):
        for size in axis.sizes:
            tables.note(f"round {number + 1} of {rounds}: {size:,} {axis.of}")
            os.environ[PAYLOAD] = str(size - 11 if name == "payload" else 89)  # with its name it is so many bytes of JSON
            count = min(most, LEAST, 200_000_000 // size) if name == "payload" else 0
            taken[size].append(axis.measure(place(f"payload-{size}" if name == "payload" else "plain"), size, count))
    costs = {size: 1e6 * median(seconds) for size, seconds in taken.items()}
    first = costs[axis.sizes[0]]
    return [{"size": size, "us": round(cost, 2), "times": round(cost / first, 3)} for size, cost in costs.items()]


def drain(sites: Sites, depth: int, keys: int = 0, workers: int = 1) -> float:
    seconds, times = 0.0, max(1, LEAST // depth)
    for _ in range(times):
        site = sites.filled("nothing", depth, keys)
        seconds += drained(bench(sites), site, depth, lambda watch: watch.done() >= depth, workers=workers).seconds
    return seconds / (times * depth)


def deliver(sites: Sites, readers: int, most: int) -> float:
    """A message that is fed and handled."""
    sample = delivered(bench(sites), readers, max(1_000, most // readers // 1_000 * 1_000))
    return 1 / sample.value


def bench(sites: Sites) -> Bench:
    return Bench(Plan(LEAST, 1, 0, ()), sites)


@contextmanager
def places(on: On, folder: Path) -> Generator[Callable[[str], Sites], None, None]:
    """What is made by one name stays for the next round."""
    made: dict[str, Sites] = {}
    if on == "sqlite":

        def file(name: str) -> Sites:
            (folder / name).mkdir(exist_ok=True)
            return made.setdefault(name, Files(folder / name))

        yield file
        return
    with started() as url, closing(Databases(url, folder)) as plain:
        made["plain"] = plain
        others: list[Databases] = []

        def database(name: str) -> Sites:
            if name not in made:
                others.append(Databases(url, folder))
                made[name] = others[-1]
            return made[name]

        try:
            yield database
        finally:
            for each in others:
                each.close()
