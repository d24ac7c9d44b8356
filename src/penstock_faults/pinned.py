"""A reader that keeps an old snapshot open, so that nothing can be vacuumed, while jobs come at a steady rate.

    python -m penstock_faults.pinned                                    10 minutes at 5,000 jobs a second
    python -m penstock_faults.pinned --rate 1000 --period 10 --periods 3 --naptime 5   the form of CI

First comes a period without the pin, then those with it, then the pin is released: it has to be as before within 5 minutes. Tells
for each period what was offered and completed, how long jobs waited, how long a claim took on the server, what is dead in the tables.
It starts a server of its own. Ends with a verdict as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
from psycopg import sql

from penstock.connect import administration
from penstock_faults.software import services
from penstock_faults.waiting import conclude, wait_for

RECOVERY = 300.0
"""Seconds in which it has to be as before."""
_CLAIMS = """
select coalesce(sum(total_exec_time), 0)::float8, coalesce(sum(calls) filter (where query like '%met.place, m.*%'), 0)::bigint
from pg_stat_statements
where query like '%met.place, m.*%' or query like '%new_ready as materialized%'
"""
_DEAD = "select coalesce(sum(n_dead_tup), 0)::bigint from pg_stat_user_tables where schemaname = 'penstock'"
_DONE = "select coalesce(sum(done), 0)::bigint, coalesce(sum(waiting + running), 0)::bigint from penstock.count"

Connection: TypeAlias = "psycopg.Connection[Any]"


@dataclass(frozen=True)
class Period:
    """Times in ms. `claim`: of the server, for a look and what it led to."""

    name: str
    completed: int
    backlog: int
    p50: float
    p99: float
    claim: float
    dead: int


class Harness:
    def __init__(self, connection: Connection, tally: Path) -> None:
        self._connection = connection
        self._tally = tally
        self._read = 0
        self._done = 0
        self._claims = (0.0, 0)

    def start(self) -> None:
        """What comes from here on is the first period's."""
        self._waits()
        self._done = self._row(_DONE)[0]
        self._claims = self._row(_CLAIMS)

    def period(self, name: str, seconds: float) -> Period:
        time.sleep(seconds)
        waits = self._waits()
        done, backlog = self._row(_DONE)
        spent, calls = self._row(_CLAIMS)
        took = (spent - self._claims[0]) / max(1, calls - self._claims[1])
        found = Period(name, done - self._done, backlog, share(waits, 0.5), share(waits, 0.99), took, self._row(_DEAD)[0])
        self._done, self._claims = done, (spent, calls)
        print(json.dumps(asdict(found)), file=sys.stderr, flush=True)
        return found

    @property
    def done(self) -> int:
        return int(self._row(_DONE)[0])

    def _waits(self) -> Counter[int]:
        """Of what was told since the last time."""
        waits: Counter[int] = Counter()
        with self._tally.open() as file:
            file.seek(self._read)
            for line in file.read().splitlines(keepends=True):
                if line.endswith("\n"):
                    self._read += len(line)
                    waits.update({int(tenths): count for tenths, count in json.loads(line)[1].items()})
        return waits

    def _row(self, query: str) -> Any:
        return self._connection.execute(query.encode()).fetchall()[0]


def share(waits: Counter[int], part: float) -> float:
    """In ms; infinite if there is none."""
    left = part * waits.total()
    for tenths in sorted(waits):
        left -= waits[tenths]
        if left <= 0:
            return tenths / 10
    return float("inf")


@contextmanager
def server(naptime: int, settings: Sequence[str] = ()) -> Generator[str, None, None]:
    """One that counts what its statements take. `settings`: NAME=VALUE."""
    with tempfile.TemporaryDirectory(prefix="penstock-pinned-", ignore_cleanup_errors=True) as directory:
        url = services("start", "postgres", "--dir", directory).strip()
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("alter system set shared_preload_libraries = 'pg_stat_statements'")
                for name, value in (("autovacuum_naptime", f"{naptime}s"), *(each.split("=", 1) for each in settings)):
                    connection.execute(sql.SQL("alter system set {} = {}").format(sql.Identifier(name), value))
            services("crash", "postgres", "--dir", directory)
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("create extension pg_stat_statements")
            yield url
        finally:
            services("stop", "postgres", "--dir", directory)


@contextmanager
def program(url: str, tally: Path, *words: object) -> Generator[subprocess.Popen[str], None, None]:
    environment = {**os.environ, "PENSTOCK_STORE": url, "TALLY": str(tally), "STAND": "/nowhere", "LEDGER": os.devnull}
    command = [sys.executable, "-m", "penstock_faults.offered", *map(str, words)]
    running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        running.terminate()
        running.wait()


@contextmanager
def pin(url: str) -> Generator[None, None, None]:
    with psycopg.connect(url) as reader:
        reader.execute("set transaction isolation level repeatable read")
        reader.execute("select count(*) from penstock.message")
        yield
        assert reader.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS


def run(url: str, tally: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    rate, period, periods = arguments.rate, arguments.period, arguments.periods
    administration(url).migrate()
    tally.touch()
    with psycopg.connect(url, autocommit=True) as connection, program(url, tally, "work"):
        wait_for(lambda: bool(connection.execute("select 1 from penstock.worker").fetchall()), "the worker")
        with program(url, tally, "offer", rate, round(2 + period * (1 + periods))) as producer:
            harness = Harness(connection, tally)
            wait_for(lambda: harness.done > rate, "the first second's jobs")
            harness.start()
            before = harness.period("before", period)
            with pin(url):
                pinned = [harness.period(f"pinned {n + 1}", period) for n in range(periods)]
                offered = int(producer.communicate()[0])
                wait_for(lambda: harness.done >= 0.98 * offered, "what was offered", period)
                completed = harness.done
        with program(url, tally, "offer", rate, round(RECOVERY)):
            recovery = recover(harness, before, min(period, 10.0), 4 * rate * arguments.naptime)
        return judged(before, pinned, recovery, offered, completed)


def recover(harness: Harness, before: Period, step: float, dying: int) -> dict[str, Any]:
    """The pin is gone: how long until jobs and claims are as before. `dying`: rows that die between two looks of the server."""
    began = time.monotonic()
    harness.start()
    while True:
        now = harness.period("released", step)
        seconds = time.monotonic() - began
        normal = now.p99 <= 2 * max(before.p99, 5) and now.claim <= 2 * before.claim and now.dead < before.dead + dying
        if normal or seconds > RECOVERY:
            return {"seconds": round(seconds, 1), "normal": normal, **asdict(now)}


def judged(before: Period, pinned: Sequence[Period], recovery: dict[str, Any], offered: int, completed: int) -> dict[str, Any]:
    """Compared with the first pinned period, as the tables fill anyhow."""
    first, last = pinned[0], pinned[-1]
    jobs = sum(each.completed for each in pinned)
    verdict = {
        "completed_share": completed / offered,
        "p99_growth": last.p99 / max(first.p99, 5),
        "p99_worst_growth": max(each.p99 for each in pinned) / max(first.p99, 5),
        "claim_growth": last.claim / first.claim,
        "dead_a_job": (last.dead - before.dead) / max(jobs, 1),
        "recovery_s": recovery["seconds"],
    }
    ok = (
        verdict["completed_share"] >= 0.98
        and verdict["p99_growth"] <= 2
        and verdict["claim_growth"] <= 2
        and verdict["dead_a_job"] <= 4
        and recovery["normal"]
    )
    periods = [asdict(each) for each in (before, *pinned)]
    return {"ok": ok, **verdict, "offered": offered, "completed": completed, "periods": periods, "recovery": recovery}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--period", type=float, default=60.0, help="seconds")
    parser.add_argument("--naptime", type=int, default=60, help="seconds between the server's looks at what to vacuum")
    parser.add_argument("--periods", type=int, default=10, help="with the pin")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another setting of the server")
    arguments = parser.parse_args()
    if wrong := [each for each in arguments.set if "=" not in each]:
        parser.error(f"--set {wrong[0]}: it is NAME=VALUE")
    with server(arguments.naptime, arguments.set) as url, tempfile.TemporaryDirectory() as scratch:
        result = run(url, Path(scratch) / "tally", arguments)
    conclude({**result, "settings": arguments.set})


if __name__ == "__main__":
    main()
