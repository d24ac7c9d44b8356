"""Servers and tools that faults need: `scripts/services` of a checkout, which the installed package carries along."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CARRIED = Path(__file__).with_name("services")
_SERVICES = _CARRIED if _CARRIED.exists() else Path(__file__).parents[2] / "scripts" / "services"


def services(*words: object) -> str:
    """What it prints. Exits with its code if it fails: with 69 where something is not installed, after it has said how to get it."""
    done = subprocess.run([sys.executable, str(_SERVICES), *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        sys.exit(done.returncode)
    return done.stdout.strip()


def tool(what: str) -> str:
    """Where it is. Exits with 69 where there is none."""
    return services("find", what)


@contextmanager
def server(url: str | None = None, *options: object) -> Iterator[str]:
    """URL of the PostgreSQL server that is given, or of a fresh one, started with those options."""
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="penstock-postgres-", ignore_cleanup_errors=True) as folder:
        url = services("start", "postgres", "--dir", folder, *options)
        try:
            yield url
        finally:
            services("stop", "postgres", "--dir", folder)
