"""`ports.leases.Leases`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.errors import StoreUnavailable
from penstock.model.statement import Program
from penstock.ports.leases import MAINTENANCE, Enrolment, Rescued, Seen
from penstock.stores.sql import leases
from penstock.stores.sql.elsewhere import Search
from penstock.stores.sql.filelock import FileLock, is_free
from penstock.stores.sql.operations import Run
from penstock.stores.sql.roads import Reading, Writing
from penstock.stores.sqlite.clock import StoreClock
from penstock.stores.sqlite.files import Folder
from penstock.stores.sqlite.put import put


class SqliteLeases:
    def __init__(self, writer: Writing, reader: Reading, clock: StoreClock, folder: Folder, remind: Callable[[], None]) -> None:
        self._writer = writer
        self._remind = remind
        self._reader = reader
        self._clock = clock
        self._folder = folder
        self._locks: dict[int, FileLock] = {}
        self._searches: dict[int, Search] = {}
        self._blocked: dict[int, str] = {}
        """What the last beat said of its loop."""

    async def enrol(self, worker: Enrolment) -> None:
        lock = FileLock(self._folder.worker_lock(worker.incarnation))
        if not lock.try_acquire():
            lock.close()
            raise StoreUnavailable(f"enrol worker {worker.incarnation:x}: its lock file is taken")
        self._locks[worker.incarnation] = lock
        try:
            await self._writer.submit(_run(lambda now: leases.enrol(worker, now), "enrol a worker", rings=True))
        except BaseException:
            self._unlock(worker.incarnation)
            raise
        self._searches[worker.incarnation] = Search(worker)

    def beat_now(self, incarnation: int, blocked: str = "") -> bool:
        """What has nothing new to say about its loop writes nothing about it."""
        lives: bool = self._writer.submit_blocking(self._beat(incarnation, blocked))
        self._blocked[incarnation] = blocked
        return lives

    async def others(self, incarnation: int) -> list[Seen]:
        rows = await self._reader.rows("others", {"incarnation": incarnation})
        return [Seen(other, beat, is_free(self._folder.worker_lock(other)), lease) for other, beat, lease in rows]

    async def rescue(self, incarnation: int, beat: int) -> Rescued | None:
        work = Run(lambda now: leases.rescue(incarnation, beat, now, put), "rescue a worker's messages", durable=True, rings=True)
        rescued: Rescued | None = await self._writer.submit(work)
        if rescued is not None:
            self._folder.worker_lock(incarnation).unlink(missing_ok=True)
        return rescued

    async def leave(self, incarnation: int) -> None:
        await self._writer.submit(_run(lambda now: leases.leave(incarnation, now, put), "leave", rings=True))
        self._unlock(incarnation)
        self._searches.pop(incarnation, None)
        self._blocked.pop(incarnation, None)

    def _unlock(self, incarnation: int) -> None:
        lock = self._locks.pop(incarnation, None)
        if lock is not None:
            self._folder.worker_lock(incarnation).unlink(missing_ok=True)
            lock.close()

    async def lead(self, role: str, incarnation: int, lease: int) -> bool:
        def program(now: int) -> Program[bool]:
            won = yield from leases.lead(role, incarnation, lease, now)
            if won and role == MAINTENANCE:
                self._remind()
                yield from self._clock.adjust()
            return won

        return await self._writer.submit(_run(program, f"lead {role}"))  # type: ignore[no-any-return]

    async def elsewhere(self, incarnation: int) -> list[str]:
        search = self._searches.get(incarnation)
        return [] if search is None else await self._reader.drive(search.look())

    def close(self) -> None:
        for lock in self._locks.values():
            lock.close()
        self._locks.clear()

    def _beat(self, incarnation: int, blocked: str) -> Run:
        changed = blocked != self._blocked.get(incarnation, "")

        def program(now: int) -> Program[bool]:
            yield from self._clock.anchor()
            lives = yield from leases.beat(incarnation)
            if lives and changed:
                yield from leases.note_blocked(incarnation, blocked, now)
            return lives

        return _run(program, "beat")


def _run(make: Callable[[int], Program[Any]], doing: str, *, rings: bool = False) -> Run:
    return Run(make, doing, durable=False, rings=rings)
