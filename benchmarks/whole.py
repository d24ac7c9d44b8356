"""`python -m benchmarks`, with nothing behind it: everything beside peers, and the page. `short`: the same at once, about three minutes.

Each step is a command of its own, as it could be typed; what the short form finds stays in `benchmarks/results/short`.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.kept import RESULTS

SHORT = RESULTS / "short"
FULL_STEPS: Sequence[Sequence[str]] = (
    ("file",),
    ("server",),
    ("growth",),
    ("growth", "--on", "postgres"),
    ("figures",),
)
_BRIEF = ("--rounds", "1", "--depth", "2000", "--only", "concurrent,drain", "--seconds", "2", "--after", "0")
SHORT_STEPS: Sequence[Sequence[str]] = (
    ("file", *_BRIEF, "--json", str(SHORT / "file.json")),
    ("server", *_BRIEF, "--json", str(SHORT / "server.json")),
    ("growth", "--only", "depth", "--most", "10000", "--rounds", "1", "--json", str(SHORT / "growth-sqlite.json")),
    ("growth", "--only", "depth", "--most", "10000", "--rounds", "1", "--on", "postgres", "--json", str(SHORT / "growth-postgres.json")),
    ("figures", "--results", str(SHORT), "--page", str(SHORT / "benchmarks.md")),
)


@click.command()
def whole() -> None:
    """Everything: on a file and on a server, beside peers; how cost grows; docs/benchmarks.md. More than an hour."""
    taken(FULL_STEPS)


@click.command()
def short() -> None:
    """The same, with one round, few jobs and few measures, to see that it runs: these figures vary."""
    SHORT.mkdir(parents=True, exist_ok=True)
    taken(SHORT_STEPS)


def taken(steps: Sequence[Sequence[str]], root: Path = Path(__file__).parents[1]) -> None:
    """One after the other, until one fails: no figure is left out in silence. A step that is told to end stops its servers first."""
    for step in steps:
        click.echo(f"\n{' '.join(step)}", err=True)
        with subprocess.Popen([sys.executable, "-m", "benchmarks", *step], cwd=root) as running:
            before = signal.signal(signal.SIGTERM, lambda *_, running=running: running.terminate())
            try:
                code = waited_for(running)
            finally:
                signal.signal(signal.SIGTERM, before)
        if code:
            raise SystemExit(code if code > 0 else 128 - code)


def waited_for(running: subprocess.Popen[bytes]) -> int:
    try:
        return running.wait()
    except KeyboardInterrupt:  # the step has got it too
        return running.wait()
