"""`ports.leases.Leases`.

A worker's proof of life for others on its machine is a file that it holds locked, in a folder that only its user may enter. A machine
that does not see the file knows nothing by it, and waits for the lease.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from penstock.errors import ConfigurationError
from penstock.model.statement import Program
from penstock.ports.leases import MAINTENANCE, Enrolment, Rescued, Seen
from penstock.stores.postgres.pulse import Pulse
from penstock.stores.sql import leases
from penstock.stores.sql.dialect import Put
from penstock.stores.sql.elsewhere import Search
from penstock.stores.sql.filelock import FileLock, is_free
from penstock.stores.sql.operations import Run
from penstock.stores.sql.roads import Reading, Writing


class Lives:
    """The lock files of this machine's workers on one store."""

    def __init__(self, store_id: str) -> None:
        digest = hashlib.sha256(store_id.encode()).hexdigest()[:16]
        self._folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"penstock-{os.getuid()}-{digest}"

    def take(self, incarnation: int) -> FileLock:
        """Raises ConfigurationError where somebody else made the folder."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        found = self._folder.lstat()
        if found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise ConfigurationError(f"{self._folder} belongs to somebody else or is open to others: remove it, or set XDG_RUNTIME_DIR")
        lock = FileLock(self.of(incarnation))
        if not lock.try_acquire():
            lock.close()
            raise ConfigurationError(f"enrol worker {incarnation:x}: its lock file is taken")
        return lock

    def of(self, incarnation: int) -> Path:
        return self._folder / f"worker-{incarnation:016x}.lock"

    def died(self, incarnation: int) -> bool:
        """For certain: its file is here, and nobody holds it."""
        file = self.of(incarnation)
        return file.exists() and is_free(file)

    def forget(self, incarnation: int) -> None:
        self.of(incarnation).unlink(missing_ok=True)


class PostgresLeases:
    def __init__(self, roads: tuple[Writing, Reading], pulse: Pulse, put: Put, lives: Lives, lead: Callable[[int], None]) -> None:
        """`lead` is told for how many µs this process keeps house."""
        self._writer, self._reader = roads
        self._pulse = pulse
        self._put = put
        self._lives = lives
        self._lead = lead
        self._locks: dict[int, FileLock] = {}
        self._searches: dict[int, Search] = {}
        self._blocked: dict[int, str] = {}
        """What the last beat said of its loop."""

    async def enrol(self, worker: Enrolment) -> None:
        self._locks[worker.incarnation] = self._lives.take(worker.incarnation)
        try:
            await self._write(lambda now: leases.enrol(worker, now), "enrol a worker", rings=True)
        except BaseException:
            self._unlock(worker.incarnation)
            raise
        self._searches[worker.incarnation] = Search(worker)

    def beat_now(self, incarnation: int, blocked: str = "") -> bool:
        """What has nothing new to say about its loop writes nothing about it."""
        changed = blocked != self._blocked.get(incarnation, "")

        def program(now: int) -> Program[bool]:
            lives = yield from leases.beat(incarnation)
            if lives and changed:
                yield from leases.note_blocked(incarnation, blocked, now)
            return lives

        lives = self._pulse.run(program, "beat")
        self._blocked[incarnation] = blocked
        return lives

    async def others(self, incarnation: int) -> list[Seen]:
        rows = await self._reader.rows("others", {"incarnation": incarnation})
        return [Seen(other, beat, self._lives.died(other), lease) for other, beat, lease in rows]

    async def rescue(self, incarnation: int, beat: int) -> Rescued | None:
        work = Run(lambda now: leases.rescue(incarnation, beat, now, self._put), "rescue a worker's messages", durable=True, rings=True)
        rescued: Rescued | None = await self._writer.submit(work)
        if rescued is not None:
            self._lives.forget(incarnation)
        return rescued

    async def leave(self, incarnation: int) -> None:
        await self._write(lambda now: leases.leave(incarnation, now, self._put), "leave", rings=True)
        self._unlock(incarnation)
        self._searches.pop(incarnation, None)
        self._blocked.pop(incarnation, None)

    async def lead(self, role: str, incarnation: int, lease: int) -> bool:
        won: bool = await self._write(lambda now: leases.lead(role, incarnation, lease, now), f"lead {role}")
        if won and role == MAINTENANCE:
            self._lead(lease)
        return won

    async def elsewhere(self, incarnation: int) -> list[str]:
        search = self._searches.get(incarnation)
        return [] if search is None else await self._reader.drive(search.look())

    def close(self) -> None:
        for lock in self._locks.values():
            lock.close()
        self._locks.clear()

    def _unlock(self, incarnation: int) -> None:
        lock = self._locks.pop(incarnation, None)
        if lock is not None:
            self._lives.forget(incarnation)
            lock.close()

    async def _write(self, make: Callable[[int], Program[Any]], doing: str, *, rings: bool = False) -> Any:
        return await self._writer.submit(Run(make, doing, durable=False, rings=rings))
