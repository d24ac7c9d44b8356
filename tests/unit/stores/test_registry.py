"""What a process holds open for its workers: one lock file an incarnation, while it is in the registry."""

from __future__ import annotations

from pathlib import Path

from penstock.observe.signals import Signals
from penstock.ports.leases import Enrolment
from penstock.stores.sqlite.store import SqliteStore


def lock_files() -> list[str]:
    """Open in this process, also those that were deleted."""
    names = [str(descriptor.readlink()) for descriptor in Path("/proc/self/fd").iterdir() if descriptor.is_symlink()]
    return [name for name in names if "/worker-" in name]


def enrolment(incarnation: int) -> Enrolment:
    return Enrolment(incarnation, "app", "w", 1, "here", ("mail",), ("send",))


async def test_an_incarnation_that_was_declared_dead_leaves_no_descriptor(store: SqliteStore, path: Path) -> None:
    other = SqliteStore(str(path), signals=Signals())
    await other.open()
    for incarnation in range(1, 4):
        await store.leases.enrol(enrolment(incarnation))
        assert await other.leases.rescue(incarnation, 0) is not None
        assert len(lock_files()) == 1
        await store.leases.leave(incarnation)
    assert lock_files() == []
    await other.close()
