"""The temporary files that orders leave behind, and the ledger of who wrote and removed them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from penstock.cli.demo.ledger import Ledger, Removed, Removing, Written
from penstock.cli.demo.plan import Files
from penstock.model.clock import SECOND, Clock

AGE = 2.0
"""Seconds that a file is kept."""


class Shelf:
    def __init__(self, files: Files, clock: Clock) -> None:
        self._folder = files.temporary
        self._ledger = Ledger(files.shelf)
        self._clock = clock

    def write(self, name: str, text: str) -> None:
        at = self._clock.now()
        (self._folder / name).write_text(text)
        self._ledger.write(Written(at, name))

    def remove_old(self) -> int:
        """How many. Another may do the same at the same time: who finds nothing any more has not removed it."""
        return sum(self._remove(path) for path in list(self._old()))

    def close(self) -> None:
        self._ledger.close()

    def _old(self) -> Iterator[Path]:
        end = self._clock.now() - AGE * SECOND
        for entry in os.scandir(self._folder):
            if entry.stat().st_mtime * SECOND < end:
                yield Path(entry.path)

    def _remove(self, path: Path) -> bool:
        self._ledger.write(Removing(self._clock.now(), path.name, os.getpid()))
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        self._ledger.write(Removed(self._clock.now(), path.name))
        return True
