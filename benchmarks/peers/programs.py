"""The peers' programs, run by a Python that has their libraries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from benchmarks.peers.catalogue import Environment, Peer
from benchmarks.services import ROOT
from penstock.cli.bench import processes
from penstock.cli.bench.sites import Site

OURS = f"{sys.version_info.major}.{sys.version_info.minor}"


def made(name: Environment) -> Path:
    """As `scripts/environment` makes it: for this Python, if there is such a one."""
    ours = ROOT / f".venv-{name}-{OURS}"
    return (ours if ours.exists() else ROOT / f".venv-{name}") / "bin" / "python"


ENVIRONMENTS: Mapping[Environment, Path] = {"own": Path(sys.executable), "peers": made("peers"), "peers-saq": made("peers-saq")}


def version_of(python: Path) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


class Programs:
    """`pythons`: of each environment that they need."""

    def __init__(self, pythons: Mapping[Environment, Path] = ENVIRONMENTS) -> None:
        self._pythons = pythons

    def check(self, peers: Iterable[Peer]) -> None:
        """Raises ClickException: one is not there, or another Python than ours, with which nothing would be compared."""
        names: set[Environment] = {peer.environment for peer in peers}
        for name in sorted(names):
            if not self._pythons[name].exists():
                raise click.ClickException(
                    f"{self._pythons[name]} is not there: scripts/environment {name} makes it, and so does make bench"
                )
            if (theirs := version_of(self._pythons[name])) != OURS:
                raise click.ClickException(
                    f"{self._pythons[name]} is Python {theirs}, and Penstock is measured with {OURS}; this makes another one: "
                    f"PENSTOCK_VENV=.venv-{name}-{OURS} python{OURS} scripts/environment {name}"
                )

    def answer(self, peer: Peer, site: Site | None, *words: object) -> dict[str, Any]:
        """What it says after it has done its work."""
        done = subprocess.run(self._command(peer, *words), cwd=ROOT, env=environment(site), capture_output=True, text=True, check=False)
        if done.returncode:
            raise click.ClickException(f"{peer.name} failed at {words[0]!r}:\n{done.stderr}")
        return json.loads(done.stdout) if done.stdout else {}

    @contextmanager
    def running(self, peer: Peer, site: Site, verb: str, log: TextIO, rest: float = 0) -> Generator[processes.Running, None, None]:
        """Until the end of the block. `rest`: seconds that a handler of moments takes; all such workers have one name, as one that is
        started again."""
        command, pipe = self._command(peer, verb), subprocess.PIPE
        around = environment(site) | ({"PEER_REST": str(rest), "PEER_NAME": "1"} if rest else {})
        with subprocess.Popen(command, cwd=ROOT, env=around, stdin=pipe, stdout=pipe, stderr=log, text=True) as running:
            try:
                yield running
            finally:
                processes.end(running)

    def _command(self, peer: Peer, *words: object) -> list[str]:
        return [str(self._pythons[peer.environment]), "-m", peer.program, *map(str, words)]


def tell(running: processes.Running) -> None:
    """A line, which it waits for."""
    assert running.stdin is not None
    running.stdin.write("\n")
    running.stdin.flush()


def hear(running: processes.Running, site: Site) -> str:
    assert running.stdout is not None
    line = running.stdout.readline()
    if not line:
        running.wait(processes.PATIENCE)
        processes.check(running, site)
    return line.strip()


def environment(site: Site | None) -> dict[str, str]:
    if site is None:
        return {**os.environ, "PEER_QUEUE": ""}
    return {**os.environ, "PEER_QUEUE": site.url, "PEER_MOMENTS": str(moments_of(site)), "PEER_ENDS": str(ends_of(site))}


def moments_of(site: Site) -> Path:
    """Which have begun, and when, a line each."""
    return site.log.with_suffix(".moments")


def ends_of(site: Site) -> Path:
    """Which moments have ended, a line each."""
    return site.log.with_suffix(".ends")
