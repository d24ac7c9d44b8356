"""A store with a long past and a long queue, beside an empty one: does either slow a worker or a look at the counters down?

    make bench ARGS="history"

Both drain as many jobs of a queue and are asked for their counters; one has ten million finished jobs and a million that wait besides.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import closing
from statistics import median
from typing import Any

import click
import psycopg

from benchmarks.server import given
from benchmarks.services import started, temporary
from penstock import App
from penstock.cli import tables
from penstock.cli.bench import processes
from penstock.cli.bench.databases import Databases
from penstock.cli.bench.sites import Site

ALLOWED = 1.3
_LOOKS = 200
_UNFOLDED = 50
_PAST = """
insert into penstock.message (seq, id, queue, task, rank, enqueued, body)
    overriding system value
    select n, 'past-' || n, 'bench', 'bench.nothing', 5, n, '{}' from generate_series(-%(count)s, -1) n;
insert into penstock.finished (seq, queue, outcome, ended, attempt, owner)
    select n, 'bench', 'done', n, 1, 1 from generate_series(-%(count)s, -1) n;
insert into penstock.delta (queue, done, kept) values ('bench', %(count)s, %(count)s);
"""


class Past:
    """Makes the store that has one, from one that has none."""

    def __init__(self, databases: Databases, finished: int, waiting: int) -> None:
        self._databases = databases
        self._finished = finished
        self._waiting = waiting

    def add(self, site: Site) -> None:
        with psycopg.connect(site.url) as connection:
            connection.execute(_PAST.replace("%(count)s", str(self._finished)).encode())
        processes.produce(site.url, "fill", "nothing", self._waiting, 0)
        self._databases.rest(site)


def drained(databases: Databases, site: Site, depth: int) -> dict[str, float]:
    """Jobs a second, and ms for a look at the queues, before and after."""
    with databases.watch(site) as watch:
        watch.pause()
        before = watch.done()
        with processes.worker(site) as running:

            def alive() -> None:
                processes.check(running, site)

            def folded() -> bool:
                """The worker has added up what producers and claims left to add."""
                return watch.number("select count(*) from penstock_delta") < _UNFOLDED

            watch.until(lambda: bool(watch.workers()) and folded(), alive)
            looks = asyncio.run(look(site.url))
            watch.resume()
            began = watch.until(lambda: watch.done() > before, alive)
            seconds = watch.until(lambda: watch.done() - before >= depth, alive) - began
            watch.pause()
            watch.until(folded, alive)
            after = asyncio.run(look(site.url))
    return {"drain_per_s": depth / seconds, "look_ms": looks, "look_after_ms": after}


async def look(url: str) -> float:
    """As `penstock queues ls` does; the median, in ms."""
    app = App(url)
    store = await app._link.opened()
    taken: list[float] = []
    for _ in range(_LOOKS):
        began = time.perf_counter()
        await store.inspect.queues()
        taken.append(1000 * (time.perf_counter() - began))
    await app.close()
    return median(taken)


@click.command()
@click.option("--store", metavar="URL", help="Another server than one of its own, where databases are made (and dropped afterwards).")
@click.option("--finished", type=int, default=10_000_000, show_default=True)
@click.option("--waiting", type=int, default=1_000_000, show_default=True)
@click.option("--depth", type=int, default=200_000, show_default=True, help="Jobs that are drained in both.")
@click.option("--rounds", type=int, default=3, show_default=True)
def history(store: str | None, finished: int, waiting: int, depth: int, rounds: int) -> None:
    """Drain and counters of a store with a long past, beside one without."""
    with temporary("penstock-bench-") as folder, given(store) if store else started() as url, closing(Databases(url, folder)) as databases:
        found = compare(databases, Past(databases, finished, waiting), depth, rounds)
    click.echo(json.dumps(found, indent=1))
    raise SystemExit(0 if found["ok"] else 1)


def compare(databases: Databases, past: Past, depth: int, rounds: int) -> dict[str, Any]:
    """The long one is drained on from round to round: it has enough; both are vacuumed before. The short one is made anew each time."""
    tables.note("making the store with a past")
    long = databases.filled("nothing", depth)
    past.add(long)
    short: list[Mapping[str, float]] = []
    full: list[Mapping[str, float]] = []
    for number in range(rounds):
        tables.note(f"round {number + 1} of {rounds}")
        site = databases.filled("nothing", depth)
        short.append(drained(databases, site, depth))
        databases.drop(site)
        databases.rest(long)
        full.append(drained(databases, long, depth))
    medians = {name: (median(each[name] for each in short), median(each[name] for each in full)) for name in short[0]}
    ratios = {
        "drain": median(one["drain_per_s"] / other["drain_per_s"] for one, other in zip(short, full, strict=True)),
        "look": median(other["look_ms"] / one["look_ms"] for one, other in zip(short, full, strict=True)),
        "look_after": median(other["look_after_ms"] / one["look_after_ms"] for one, other in zip(short, full, strict=True)),
    }
    ok = max(ratios["drain"], ratios["look"]) <= ALLOWED  # afterwards, one of them has nothing left to look at
    return {"ok": ok, "ratios": ratios, "empty_and_full": medians}
