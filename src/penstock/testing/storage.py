"""Where the file of a test lies."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.errors import ConfigurationError
from penstock.model.clock import to_datetime
from penstock.stores.sql.library import Library
from penstock.stores.sqlite.files import Folder
from penstock.stores.sqlite.opening import open_file
from penstock.testing.clock import VirtualClock

SHARED_MEMORY = Path("/dev/shm")


@contextmanager
def fast_folder() -> Iterator[Path]:
    """A fresh folder in tmpfs where there is one, so that a synced commit costs nothing."""
    with tempfile.TemporaryDirectory(prefix="penstock-", dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def prepare(path: str, clock: VirtualClock) -> None:
    """Make the file, or our tables in it: later openings write nothing, so they do not wait for a transaction that a test has open.

    Raises StoreError. A file that has served a test has its time: raises ConfigurationError if an earlier one was asked for.
    """
    stored = clock.store_clock()
    open_file(Folder(path), Library.load("penstock.stores.sqlite"), stored, migrating=True)
    if clock.given and stored.now() > clock.now():
        raise ConfigurationError(
            f"testing.run(start=…): {path} was used by a test at {to_datetime(stored.now())}, and a store's time never goes back"
        )
    clock.move_to(stored.now())
