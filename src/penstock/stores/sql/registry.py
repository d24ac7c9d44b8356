"""`ports.leases.Leases`, but for what each database does in its own way: beating, and keeping house."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

from penstock.model.statement import Program
from penstock.ports.leases import Enrolment, Rescued, Seen
from penstock.stores.sql import leases
from penstock.stores.sql.dialect import Put
from penstock.stores.sql.elsewhere import Search
from penstock.stores.sql.filelock import FileLock
from penstock.stores.sql.operations import Run
from penstock.stores.sql.roads import Reading, Writing


class Lives(Protocol):
    """Proofs of life: files that workers hold locked."""

    def take(self, incarnation: int) -> FileLock | None:
        """Locked. None: files cannot be had here, and its lease has to do. Raises PenstockError if somebody else has it."""
        ...

    def died(self, incarnation: int) -> bool:
        """For certain."""
        ...

    def forget(self, incarnation: int) -> None: ...


class SqlLeases:
    def __init__(self, roads: tuple[Writing, Reading], put: Put, lives: Lives) -> None:
        self._writer, self._reader = roads
        self._put = put
        self._lives = lives
        self._locks: dict[int, FileLock] = {}
        self._searches: dict[int, Search] = {}
        self._blocked: dict[int, str] = {}
        """What the last beat said of its loop."""

    @abstractmethod
    def _beat(self, make: Callable[[int], Program[bool]]) -> bool:
        """Blocks the calling thread."""

    async def enrol(self, worker: Enrolment) -> None:
        lock = self._lives.take(worker.incarnation)
        if lock is not None:
            self._locks[worker.incarnation] = lock
        try:
            await self._write(lambda now: self._enrolling(worker, now), "enrol a worker", rings=True)
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

        lives = self._beat(program)
        self._blocked[incarnation] = blocked
        return lives

    async def others(self, incarnation: int) -> list[Seen]:
        rows = await self._reader.rows("others", {"incarnation": incarnation})
        return [Seen(other, beat, self._lives.died(other), lease) for other, beat, lease in rows]

    async def rescue(self, incarnation: int, beat: int) -> Rescued | None:
        work = Run(lambda now: self._rescuing(incarnation, beat, now), "rescue a worker's messages", durable=True, rings=True)
        rescued: Rescued | None = await self._writer.submit(work)
        if rescued is not None:
            self._lives.forget(incarnation)
        return rescued

    async def leave(self, incarnation: int) -> None:
        await self._write(lambda now: leases.leave(incarnation, now, self._put), "leave", rings=True)
        self._unlock(incarnation)
        self._searches.pop(incarnation, None)
        self._blocked.pop(incarnation, None)

    async def elsewhere(self, incarnation: int) -> list[str]:
        search = self._searches.get(incarnation)
        return [] if search is None else await self._reader.drive(search.look())

    def _enrolling(self, worker: Enrolment, now: int) -> Program[None]:
        return leases.enrol(worker, now)

    def _rescuing(self, incarnation: int, beat: int, now: int) -> Program[Rescued | None]:
        return leases.rescue(incarnation, beat, now, self._put)

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
