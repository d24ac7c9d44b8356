"""Folders of a run: a store on a disk, and ledgers on another file system, so that they do not share its fate."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MEMORY = Path("/dev/shm")


@contextmanager
def ledgers(program: str, beside: Path) -> Iterator[Path]:
    """In memory where there is a folder for that, and gone at the end. Says so on stderr where `beside` lies there, too."""
    with tempfile.TemporaryDirectory(prefix=f"penstock-{program}-ledger-", dir=_MEMORY if _MEMORY.is_dir() else None) as name:
        folder = Path(name)
        if folder.stat().st_dev == beside.stat().st_dev:
            print(f"{program}: the ledger lies on the store's own file system, {beside}", file=sys.stderr)
        yield folder


@contextmanager
def disk(program: str, place: Path | None = None) -> Iterator[Path]:
    """For a store, at that place or where temporary files are, and gone at the end."""
    with tempfile.TemporaryDirectory(prefix=f"penstock-{program}-", dir=place, ignore_cleanup_errors=True) as name:
        yield Path(name)
