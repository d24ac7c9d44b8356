"""S17, S20: no name in a row becomes a path, and what we make is ours alone."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from penstock import App
from penstock.errors import ConfigurationError
from penstock.stores.sqlite.files import Folder
from penstock.testing.storage import fast_folder
from tests.integration.cli.console import PATIENCE, Console
from tests.threats.site import File, Site, on_file

TRAVERSALS = [
    "../{victim}",
    "../../{folder}/{victim}",
    "{absolute}",
    "./../{victim}",
    "ear-0/../../{victim}",
    "ear-0123456789ab/../../{victim}",
    "..%2f{victim}",
    "%2e%2e/{victim}",
    "link",
    "write.lock",
    "ear-",
    ".",
    "..",
    "",
    "a\0b",
    "x" * 5_000,
    b"\xff/../../{victim}",
]


@pytest.fixture
async def file() -> AsyncIterator[File]:
    with fast_folder() as folder, on_file(folder / "shop.db") as site:
        yield site
        await site.close()


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def shop_of(site: Site) -> App:
    app = site.app()

    @app.task(queue="mail")
    async def read(name: str = "") -> str:
        return name

    return app


async def test_whom_to_tell_of_an_end_is_no_path(file: File) -> None:
    """The sockets of those who wait for a job stand by name in the file; a socket that nobody listens to is removed."""
    victim, folder = file.path.with_name("victim"), Folder(str(file.path)).path
    victim.write_text("kept")
    app = shop_of(file)
    job = await app.find("read").enqueue("ada")
    (folder / "link").symlink_to(victim)
    names = {"victim": victim.name, "folder": victim.parent.name, "absolute": str(victim)}
    bells = [bell if isinstance(bell, bytes) else bell.format(**names) for bell in TRAVERSALS]
    ((seq,),) = file.rows("select seq from penstock_message")
    for bell in bells:
        file.insert("watch", seq=seq, bell=bell, job=job.id)
    async with app.worker():
        assert await job.result(timeout=PATIENCE) == "ada"
    assert file.rows("select bell from penstock_watch") == []  # all of them were told
    assert victim.read_text() == "kept"
    assert (folder / "link").is_symlink() and (folder / "write.lock").exists()


@pytest.mark.parametrize("name", ["../{0}", "{0}", "..%2f{0}", "%2e%2e/{0}", "file://{0}", "a\0{0}"])
async def test_names_of_jobs_are_no_paths(file: File, name: str) -> None:
    """Of a queue, a task, a key, an id: after a worker has met them no file is there that was not there before."""
    app = shop_of(file)
    outside = file.path.with_name("outside")
    text = name.format(outside)
    file.put("shop.read", b"{}", queue=text)
    file.put(text, b"{}")
    file.put("shop.read", b"{}", id="keyed", key=text)
    if "\0" not in text:
        file.put("shop.read", b"{}", id=text)
    async with app.worker():
        await app.job("keyed").result(timeout=PATIENCE)
        made = {path.name.split("-")[0] for path in file.path.parent.rglob("*")}
    assert made == {"shop.db", "write.lock", "worker", "bell", "ear"}
    assert not outside.exists()


def test_a_link_in_the_place_of_the_run_time_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody can make one in /tmp; ours would be made behind it."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = Folder(str(tmp_path / ("d" * 120) / "shop.db"))
    folder.path.parent.mkdir()
    (tmp_path / "private").mkdir(mode=0o700)
    folder.bells.symlink_to(tmp_path / "private")
    with pytest.raises(ConfigurationError, match="XDG_RUNTIME_DIR"):
        folder.create()


# -- modes


async def test_a_worker_and_its_commands_make_what_only_we_can_read(fast_shop: Console, open_umask: None) -> None:
    """With umask 0, the sockets included: in folders that nobody else can enter."""
    with fast_shop.worker() as worker:
        fast_shop.ok("enqueue", "shop:app", "read")
        worker.until("read by")
        modes = {path: path.lstat().st_mode for path in fast_shop.folder.rglob("shop.db*")}
        inside = {path: path.lstat().st_mode for folder in modes if folder.is_dir() for path in folder.iterdir()}
        assert worker.stop() == 0
    files = {path.name: stat.S_IMODE(mode) for path, mode in {**modes, **inside}.items() if stat.S_ISREG(mode)}
    assert {name for name in files if not name.startswith("worker-")} == {"shop.db", "shop.db-wal", "shop.db-shm", "write.lock"}
    assert any(name.startswith("worker-") for name in files)
    assert {*files.values()} == {0o600}
    assert {stat.S_IMODE(mode) for mode in modes.values() if stat.S_ISDIR(mode)} == {0o700}
    assert any(stat.S_ISSOCK(mode) for mode in inside.values())
    assert {path.parent for path, mode in inside.items() if stat.S_ISSOCK(mode)} <= {path for path in modes if path.is_dir()}


@pytest.fixture
def fast_shop() -> Iterator[Console]:
    with fast_folder() as folder:
        (folder / "shop.py").write_text(
            "from penstock import App\n\napp = App(name='shop')\n\n@app.task()\nasync def read() -> None:\n    print('read by a worker')\n"
        )
        yield Console(folder, f"sqlite:///{folder}/shop.db")
