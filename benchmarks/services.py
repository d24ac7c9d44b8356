"""Servers for a run: each in a scratch folder, started by `scripts/services` and stopped afterwards."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
SERVICES = ROOT / "scripts" / "services"


@contextmanager
def started() -> Generator[str, None, None]:
    """A PostgreSQL server."""
    with temporary("penstock-postgres-") as folder:
        url = services("start", "postgres", folder)
        try:
            yield url
        finally:
            services("stop", "postgres", folder)


@contextmanager
def temporary(prefix: str, folder: Path | None = None) -> Generator[Path, None, None]:
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder, ignore_cleanup_errors=True) as name:
        yield Path(name)


def services(verb: str, service: str, folder: Path) -> str:
    command = [sys.executable, str(SERVICES), verb, service, "--dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"{service} did not {verb}: {done.stderr.strip()}")
    return done.stdout.strip()
