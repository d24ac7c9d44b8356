"""The file and its companion folder: nobody else reads them, and locks mean what they say."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import pytest

from penstock.errors import ConfigurationError, StoreError
from penstock.model.message import Message
from penstock.observe.signals import Signals
from penstock.ports.leases import Enrolment
from penstock.stores.sql.filelock import FileLock, is_free
from penstock.stores.sql.library import Library
from penstock.stores.sqlite import files
from penstock.stores.sqlite.clock import StoreClock
from penstock.stores.sqlite.files import Folder, filesystem
from penstock.stores.sqlite.opening import open_file
from penstock.stores.sqlite.store import SqliteStore
from penstock.testing.conformance import Ground
from tests.conformance.sqlite_backend import SqliteBackend

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
tmpfs /dev/shm tmpfs rw 0 0
server:/export /srv nfs4 rw 0 0
/dev/sdb1 /srv/local xfs rw 0 0
//server/team /mnt/our\\040team cifs rw 0 0
"""


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def mounts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel says is mounted."""
    table = path.with_name("mounts")
    table.write_text(MOUNTS)
    monkeypatch.setattr(files, "MOUNTS", table)


async def test_nobody_else_can_read_anything(path: Path, open_umask: None, message: Message) -> None:
    async with Ground(SqliteBackend(path.parent)) as ground:
        undo = ground.store.listen(lambda: None)
        worker = await ground.worker()
        await ground.queue.put([message])
        tx = ground.store.transaction()
        await tx.execute("create table users (name text)", {})
        modes = {each.name: each.stat().st_mode for each in path.parent.rglob("*")}
        await tx.rollback()
        await worker.leave()
        undo()
    regular = {name: stat.S_IMODE(mode) for name, mode in modes.items() if stat.S_ISREG(mode)}
    assert {name.split("-")[0] for name in regular} == {"store.db", "write.lock", "worker"}
    assert regular.keys() >= {"store.db", "store.db-wal", "store.db-shm"}
    assert set(regular.values()) == {0o600}
    assert {stat.S_IMODE(mode) for mode in modes.values() if stat.S_ISDIR(mode)} == {0o700}


async def test_a_path_too_long_for_sockets_is_woken_all_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = path.parent / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as run_time:
        monkeypatch.setenv("XDG_RUNTIME_DIR", run_time)
        async with Ground(SqliteBackend(deep)) as ground:
            undo = ground.store.listen(lambda: None)
            (bells,) = Path(run_time).iterdir()
            assert bells == Folder(str(deep / "store.db")).bells
            assert stat.S_IMODE(bells.stat().st_mode) == 0o700
            assert len(list(bells.iterdir())) == 1
            undo()
        assert not list(Path(run_time).iterdir())


async def test_who_listens_after_another_one_took_the_run_time_folder_away_makes_it_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a command does that ends while another process works on the file."""
    deep = path.parent / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as run_time:
        monkeypatch.setenv("XDG_RUNTIME_DIR", run_time)
        async with Ground(SqliteBackend(deep)) as ground:
            folder = Folder(str(deep / "store.db"))
            folder.leave()
            assert not list(Path(run_time).iterdir())
            rung = asyncio.Event()
            undo = ground.store.listen(rung.set)
            assert stat.S_IMODE(folder.bells.stat().st_mode) == 0o700
            folder.leave()
            assert len(list(folder.bells.iterdir())) == 1
            await ground.put("work")
            async with asyncio.timeout(10):
                await rung.wait()
            undo()


def test_a_run_time_folder_of_somebody_else_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(str(path.parent / ("d" * 120) / "store.db"))
    folder.path.parent.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path.parent))
    folder.bells.mkdir()
    folder.bells.chmod(0o777)
    with pytest.raises(ConfigurationError, match="XDG_RUNTIME_DIR"):
        folder.create()


def test_links_to_one_file_share_its_folder(path: Path) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    assert Folder(str(link)).path == Folder(str(path)).path


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        ("/home/sam/store.db", "ext4"),
        ("/dev/shm/store.db", "tmpfs"),
        ("/srv/store.db", "nfs4"),
        ("/srv/local/store.db", "xfs"),
        ("/srvelse/store.db", "ext4"),
        ("/mnt/our team/store.db", "cifs"),
    ],
)
def test_the_file_system_of_a_path(mounts: None, where: str, kind: str) -> None:
    assert filesystem(where) == kind


async def test_a_network_file_system_is_refused_by_name(mounts: None) -> None:
    store = SqliteStore("/srv/store.db", signals=Signals())
    with pytest.raises(ConfigurationError, match=r"/srv/store\.db lies on a nfs4 file system"):
        await store.open()


def test_of_two_that_open_a_new_file_at_the_same_time_none_is_refused(path: Path) -> None:
    """Only one may give it its log: SQLite refuses the other one at once, however long it would wait."""
    library, both = Library.load("penstock.stores.sqlite"), Barrier(2)

    def open_each(_: int) -> None:
        for number in range(40):
            both.wait(30)
            try:
                open_file(Folder(str(path.with_name(f"{number}.db"))), library, StoreClock(), migrating=True)
            except BaseException:
                both.abort()
                raise

    with ThreadPoolExecutor(2) as threads:
        ended = [threads.submit(open_each, n) for n in range(2)]
    assert [each.exception() for each in ended if not isinstance(each.exception(), BrokenBarrierError)] == [None, None]
    assert {mode_of(path.with_name(f"{number}.db")) for number in range(40)} == {"wal"}


def test_a_new_file_that_somebody_else_writes_is_waited_for(path: Path) -> None:
    with closing(sqlite3.connect(path, check_same_thread=False)) as other, ThreadPoolExecutor(1) as thread:
        other.execute("begin immediate")
        opening = thread.submit(open_file, Folder(str(path)), Library.load("penstock.stores.sqlite"), StoreClock(), migrating=True)
        assert not wait([opening], 0.3).done
        other.execute("commit")
        opening.result(10)
    assert mode_of(path) == "wal"


def mode_of(path: Path) -> object:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("pragma journal_mode").fetchone()[0]


def test_a_file_that_has_lost_its_log_is_given_one(path: Path) -> None:
    """As a copy that SQLite's `vacuum into` has made."""
    library = Library.load("penstock.stores.sqlite")
    open_file(Folder(str(path)), library, StoreClock(), migrating=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma journal_mode = delete")
    open_file(Folder(str(path)), library, StoreClock(), migrating=True)
    assert mode_of(path) == "wal"


def test_a_lock_is_held_by_one(path: Path) -> None:
    first, second = FileLock(path), FileLock(path)
    assert first.try_acquire()
    assert not second.try_acquire()
    assert not is_free(path)
    first.release()
    assert second.try_acquire()
    second.close()
    assert is_free(path)
    first.close()
    first.close()


def test_a_lock_file_that_is_gone_is_free(path: Path) -> None:
    assert is_free(path.with_name("never there"))


async def test_who_could_not_enrol_keeps_no_lock(store: SqliteStore, path: Path) -> None:
    """Else it would count as alive, and could not enrol again."""
    worker = Enrolment(1, "app", "w", 1, "here", ("mail",), ("send",))
    lock_file = Folder(str(path)).worker_lock(worker.incarnation)
    same_file = FileLock(lock_file)
    with refusing_workers(path), pytest.raises(StoreError, match="enrol a worker: no"):
        await store.leases.enrol(worker)
    assert not lock_file.exists()
    assert same_file.try_acquire()
    same_file.close()
    await store.leases.enrol(worker)
    assert not is_free(lock_file)


@contextmanager
def refusing_workers(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("create trigger refusal before insert on penstock_worker begin select raise(abort, 'no'); end")
        yield
        other.execute("drop trigger refusal")


FORK = """
import os, sys
from pathlib import Path
from penstock.stores.sql.filelock import FileLock, is_free

path = Path(sys.argv[1])
lock = FileLock(path)
lock.try_acquire()
ready, go = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os.write(ready[1], b"!")
    os.read(go[0], 1)
    os._exit(0)
os.read(ready[0], 1)
seen = [is_free(path)]
lock.close()
seen.append(is_free(path))
lock = FileLock(path)
lock.try_acquire()
os.write(go[1], b"!")
os.waitpid(child, 0)
seen.append(is_free(path))
print(seen)
"""


def test_a_forked_child_neither_keeps_nor_drops_its_parents_lock(path: Path) -> None:
    """Held; free although the child lives on; held although the child has ended."""
    told = subprocess.run([sys.executable, "-c", FORK, str(path)], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[False, True, False]"
