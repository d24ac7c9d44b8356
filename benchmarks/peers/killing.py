"""A worker is killed in the middle of its jobs, and another one starts: which jobs were not run to their end, and which twice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from msgspec import Struct, to_builtins

from benchmarks.peers.catalogue import Peer, Where
from benchmarks.peers.places import Place
from benchmarks.peers.programs import Programs, ends_of, hear, moments_of, tell
from penstock.cli import tables
from penstock.cli.bench import processes
from penstock.cli.bench.sites import Site

JOBS, REST, BEFORE = 100, 0.1, 30
"""Jobs, seconds that each takes, and how many have begun when the worker is killed."""
AFTER = 60.0
"""Seconds that the other worker has. Some begin what was under way again much later, after timeouts of their own."""
HOW_LONG = "A worker of each is killed; what is not run so many seconds later is missing. 0: none is killed."
_GLANCE = 0.005


class Killed(Struct, frozen=True):
    """`missing`: not run to their end in time. `twice`: more than once. `seconds`: until all had ended, if they did."""

    missing: int
    twice: int
    seconds: float | None


def killed(programs: Programs, places: Mapping[Where, Place], peers: Sequence[Peer], after: float) -> Mapping[str, Any]:
    """By their names. What fails is told, and costs nobody else what was measured."""
    found: dict[str, Any] = {}
    for peer in peers:
        tables.note(f"a worker is killed: {peer.name}")
        try:
            found[peer.name] = to_builtins(_killed(programs, places[peer.where], peer, after))
        except click.ClickException as error:
            found[peer.name] = {"failed": error.message}
    return {"jobs": JOBS, "rest": REST, "before": BEFORE, "after": after, "found": found}


def _killed(programs: Programs, place: Place, peer: Peer, after: float) -> Killed:
    site = place.filled(peer, 0)
    try:
        programs.answer(peer, site, "moments", JOBS)
        with site.log.open("w+") as log:
            with programs.running(peer, site, "work", log, rest=REST) as first:
                hear(first, site)
                tell(first)
                if not _until(lambda: len(_lines(moments_of(site))) >= BEFORE, first, site, processes.PATIENCE):
                    raise click.ClickException(f"{peer.name} did not begin {BEFORE} jobs in {processes.PATIENCE:g} s")
                first.kill()
                first.wait()
            with programs.running(peer, site, "work", log, rest=REST) as second:
                hear(second, site)
                tell(second)
                began = time.monotonic()
                whole = _until(lambda: len({*_lines(ends_of(site))}) >= JOBS, second, site, after)
                seconds = round(time.monotonic() - began, 1) if whole else None
        counts = Counter(_lines(ends_of(site)))
        return Killed(JOBS - len(counts), sum(count > 1 for count in counts.values()), seconds)
    finally:
        place.drop(peer, site)


def _until(true: Callable[[], bool], running: processes.Running, site: Site, seconds: float) -> bool:
    """Whether it came to be so in that time, while the worker ran."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        processes.check(running, site)
        time.sleep(_GLANCE)
    return True


def _lines(path: Path) -> list[str]:
    """The last one may be half written."""
    return path.read_text().split("\n")[:-1] if path.exists() else []
