"""What the figures depend on: this machine's disk and core, measured in the same run, and what else it is."""

from __future__ import annotations

import asyncio
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from penstock._version import __version__
from penstock.stores.sqlite.files import filesystem

REFERENCE_FSYNC = 5_300.0
"""Appends of 4 KiB, each synced, a second: the disk that the targets are for."""
REFERENCE_SPAWN = 212_000.0
"""asyncio tasks created and awaited a second: the core that the targets are for."""

_PAGE = b"\0" * 4096


def fsync_seconds(folder: Path, duration: float) -> list[float]:
    """How long each of many synced appends took."""
    path = folder / "fsync"
    taken: list[float] = []
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        end = time.perf_counter() + duration
        while (began := time.perf_counter()) < end:
            os.write(file, _PAGE)
            os.fsync(file)
            taken.append(time.perf_counter() - began)
    finally:
        os.close(file)
        path.unlink()
    return taken


def spawn_rate(duration: float) -> float:
    return asyncio.run(_spawn(duration))


async def _spawn(duration: float) -> float:
    count = 0
    began = time.perf_counter()
    while (now := time.perf_counter()) < began + duration:
        for _ in range(500):
            await asyncio.create_task(_nothing())
        count += 500
    return count / (now - began)


async def _nothing() -> None: ...


def describe(folder: Path) -> Mapping[str, object]:
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "penstock": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]} {platform.machine()}",
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "folder": str(folder),
        "filesystem": filesystem(os.path.realpath(folder)) or "unknown",
    }


def commit() -> str | None:
    """Of the checkout that this code runs from, with a + if it was changed."""
    here = Path(__file__).parent
    try:
        _git(here, "ls-files", "--error-unmatch", Path(__file__).name)  # an environment may lie in another project's checkout
        head = _git(here, "rev-parse", "--short=12", "HEAD")
        return f"{head}+" if _git(here, "status", "--porcelain", "--untracked-files=no") else head
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
