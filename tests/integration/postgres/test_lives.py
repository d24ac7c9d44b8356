"""Lock files tell sooner than a lease does who is dead; and where there can be none, work goes on."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import pytest

from penstock import connect
from penstock.errors import ConfigurationError
from penstock.model.events import Event, Trouble
from penstock.observe.signals import Signals
from penstock.ports.leases import Enrolment
from penstock.stores.postgres import registry
from penstock.stores.postgres.registry import Lives
from penstock.stores.sql.filelock import FileLock
from tests.integration.cli.console import Console

WORKER = Enrolment(7, "app", "w-7", 1, "here", ("mail",), ("send",))


@pytest.fixture
async def url(postgres_url: str) -> AsyncIterator[str]:
    url = f"{postgres_url}?schema=lives"
    await asyncio.to_thread(connect.administration(url).migrate)
    yield url
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("drop schema lives cascade")
    await connection.close()


async def test_a_fleet_that_was_killed_is_not_ready(url: str, tmp_path: Path) -> None:
    """Its rows are there until somebody takes back what it held; its lock is free."""
    administration, console = connect.administration(url), Console(tmp_path, url)
    store = connect.make_store(url, durability="power", signals=Signals(), limits={})
    await store.open()
    await store.leases.enrol(WORKER)
    assert await asyncio.to_thread(administration.ready) is None
    assert [worker["name"] for worker in (await asyncio.to_thread(console.json, "store", "status"))["workers"]] == ["w-7"]
    await store.close()
    assert "no worker is alive" in (await asyncio.to_thread(administration.ready) or "")
    assert (await asyncio.to_thread(console.json, "store", "status"))["workers"] == []


def missing(folder: Path) -> str:
    return str(folder / "missing")


def a_file(folder: Path) -> str:
    (folder / "file").touch()
    return str(folder / "file")


@pytest.mark.parametrize("place", [missing, a_file, None])
async def test_a_worker_needs_no_lock_file(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Callable[[Path], str] | None
) -> None:
    """The run-time folder is gone, or no folder; or there is none, and none for temporary files."""
    if place is not None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", place(tmp_path))
    else:
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        monkeypatch.setattr(tempfile, "tempdir", None)
        monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "missing")])
    events: list[Event] = []
    signals = Signals()
    signals.listen(events.append)
    store = connect.make_store(url, durability="power", signals=signals, limits={})
    await store.open()
    await store.leases.enrol(WORKER)
    (trouble,) = events
    assert isinstance(trouble, Trouble) and isinstance(trouble.error, OSError) and "no lock file" in trouble.where
    assert await asyncio.to_thread(connect.administration(url).ready) is None
    (seen,) = await store.leases.others(0)
    assert (seen.incarnation, seen.gone) == (7, False)
    assert await asyncio.to_thread(store.leases.beat_now, 7)
    await store.leases.leave(7)
    assert await store.leases.others(0) == []
    await store.close()


def test_a_folder_of_somebody_elses_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    lives = Lives("store", "boot")
    lives.of(1).parent.mkdir(mode=0o777)
    lives.of(1).parent.chmod(0o777)
    with pytest.raises(ConfigurationError, match="open to others"):
        lives.take(1)


def test_the_last_one_takes_the_folder_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while another one is about to put its file there."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    lives = Lives("store", "boot")
    first, second = lives.take(1), lives.take(2)
    assert first is not None and second is not None
    first.close()
    lives.forget(1)
    assert [file.name for file in tmp_path.glob("*/*")] == [lives.of(2).name]
    assert not lives.died(2)

    def lock_once_it_is_gone(path: Path) -> FileLock:
        monkeypatch.setattr(registry, "FileLock", FileLock)
        second.close()
        lives.forget(2)
        assert list(tmp_path.iterdir()) == []
        return FileLock(path)

    monkeypatch.setattr(registry, "FileLock", lock_once_it_is_gone)
    third = lives.take(3)
    assert third is not None
    assert not lives.died(3)
    third.close()
    assert lives.died(3)
