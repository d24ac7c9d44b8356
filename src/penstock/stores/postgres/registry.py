"""`ports.leases.Leases`.

A worker's proof of life for others on its machine is a file that it holds locked, in a folder that only its user may enter. A machine
that does not see the file knows nothing by it, and waits for the lease.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from penstock.errors import ConfigurationError, StoreError, StoreUnavailable
from penstock.model.statement import Program, Statement
from penstock.ports.leases import MAINTENANCE, Enrolment, Rescued
from penstock.stores.postgres.pulse import Pulse
from penstock.stores.sql import leases
from penstock.stores.sql.boot import boot_id
from penstock.stores.sql.dialect import Put
from penstock.stores.sql.filelock import FileLock, is_free, make_private
from penstock.stores.sql.registry import SqlLeases
from penstock.stores.sql.roads import Reading, Writing


def _nobody(error: Exception) -> None: ...


class Lives:
    """The lock files of this machine's workers on one store."""

    def __init__(self, store_id: str, boot: str, told: Callable[[Exception], None] = _nobody) -> None:
        """`boot`: of this machine. Others may share the folder, by a network that does not share its locks. `told`, once, why there are
        no files."""
        self._told: Callable[[Exception], None] | None = told
        digest = hashlib.sha256(f"{store_id} {boot}".encode()).hexdigest()[:16]
        self._name = f"penstock-{os.getuid()}-{digest}"

    @classmethod
    def here(cls, store_id: str) -> Lives:
        """Those of this machine, since it was started."""
        return cls(store_id, boot_id())

    def take(self, incarnation: int) -> FileLock | None:
        """Raises ConfigurationError where somebody else made the folder. A file is only a short cut: where there is no place for one, the
        lease alone tells."""
        try:
            return self._take(incarnation)
        except (OSError, StoreError) as error:
            told, self._told = self._told, None
            if told is not None:
                told(error)
            return None

    def _take(self, incarnation: int, *, again: bool = True) -> FileLock:
        make_private(self._folder())
        try:
            lock = FileLock(self.of(incarnation))
        except StoreError as error:
            if again and isinstance(error.__cause__, FileNotFoundError):  # the last one here has just left, and taken the folder away
                return self._take(incarnation, again=False)
            raise
        if not lock.try_acquire():
            lock.close()
            raise ConfigurationError(f"enrol worker {incarnation:x}: its lock file is taken")
        return lock

    def of(self, incarnation: int) -> Path:
        """Raises OSError: there is nowhere to put it."""
        return self._folder() / f"worker-{incarnation:016x}.lock"

    def died(self, incarnation: int) -> bool:
        """For certain: its file is here, and nobody holds it."""
        try:
            file = self.of(incarnation)
            return file.exists() and is_free(file)
        except OSError:
            return False

    def forget(self, incarnation: int) -> None:
        with suppress(OSError):
            self.of(incarnation).unlink()
            self._folder().rmdir()  # of the last one

    def _folder(self) -> Path:
        return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / self._name


class PostgresLeases(SqlLeases):
    def __init__(self, roads: tuple[Writing, Reading], pulse: Pulse, put: Put, lives: Lives, lead: Callable[[int], None]) -> None:
        """`lead` is told for how many µs this process keeps house."""
        super().__init__(roads, put, lives)
        self._pulse = pulse
        self._lead = lead

    async def lead(self, role: str, incarnation: int, lease: int) -> bool:
        won: bool = await self._write(lambda now: leases.lead(role, incarnation, lease, now), f"lead {role}")
        if won and role == MAINTENANCE:
            self._lead(lease)
        return won

    def _enrolling(self, worker: Enrolment, now: int) -> Program[None]:
        """Whoever opened the schema before a copy began there may not work on half of it. Asked behind the lock that both take."""
        yield from super()._enrolling(worker, now)
        if (yield Statement("is_half_copy")):
            raise StoreUnavailable("enrol a worker: the store is a half copy of another one: nothing runs there until the copy is whole")

    def _rescuing(self, incarnation: int, beat: int, now: int) -> Program[Rescued | None]:
        """Another rescuer that is stopped in the middle of this keeps what it has locked: who comes after it must look after others."""
        yield Statement("wait_for_locks", {"most": "100ms"})
        return (yield from super()._rescuing(incarnation, beat, now))

    def _beat(self, make: Callable[[int], Program[bool]]) -> bool:
        return self._pulse.run(make, "beat")
