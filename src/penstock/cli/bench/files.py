"""Store files: made once, copied for each round."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from penstock.cli.bench import processes, raw
from penstock.cli.bench.sites import Site, Watch
from penstock.stores.sqlite import connection as connections

_PAUSED = ("queue:bench", "paused", "true", "bench", 0)


class Files:
    """In one folder, which is removed afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.raw = RawFiles(self)
        self._made: dict[tuple[str, int, int], Path] = {}
        self._copies = 0

    def empty(self) -> Site:
        return self.filled("nothing", 0)

    def filled(self, task: str, count: int, keys: int = 0) -> Site:
        made = self._made.get((task, count, keys))
        if made is None:
            made = self._made[task, count, keys] = self._make(task, count, keys)
        self._copies += 1
        copy = self._site(f"store-{self._copies}")
        shutil.copyfile(made, copy.name)
        Path(copy.name).chmod(0o600)
        os.sync()
        return copy

    def drop(self, site: Site) -> None:
        for path in self.folder.glob(f"{Path(site.name).stem}.*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    @contextmanager
    def watch(self, site: Site) -> Generator[Watch, None, None]:
        with closing(connections.connect(site.name)) as connection:
            yield FileWatch(connection)

    def facts(self) -> Mapping[str, object]:
        return {"database": f"SQLite {sqlite3.sqlite_version}", "raw": "the same SQL and parameters by sqlite3"}

    def concurrency(self, at_once: int) -> Sequence[str]:
        """A file has one writer: as many wait for it as the worker likes."""
        return ()

    def _site(self, stem: str) -> Site:
        path = self.folder / f"{stem}.db"
        return Site(str(path), f"sqlite:///{quote(str(path))}", path.with_suffix(".log"))

    def _make(self, task: str, count: int, keys: int) -> Path:
        site = self._site(f"{task}-{count}-{keys}")
        path = Path(site.name)
        processes.produce(site.url, "fill", task, max(count, 1), keys)
        with closing(connections.connect(site.name)) as connection:
            if not count:
                for table in ("message", "ready", "counter"):
                    connection.execute(f"delete from penstock_{table}")
            connection.execute("create table bench_user (id integer primary key, n integer not null, name text not null)")
            connection.execute("create table bystander (id integer primary key, at real not null)")
            connection.execute("pragma wal_checkpoint(truncate)").fetchall()
        if path.with_name(f"{path.name}-wal").exists():
            raise click.ClickException(f"{path} is still open somewhere")
        return path


class FileWatch(Watch):
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str) -> Sequence[Sequence[Any]]:
        return self._connection.execute(sql).fetchall()

    def server(self) -> float:
        return 0.0

    def pause(self) -> None:
        self._connection.execute("insert or replace into penstock_setting (scope, name, value, by, at) values (?, ?, ?, ?, ?)", _PAUSED)

    def resume(self) -> None:
        self._connection.execute("delete from penstock_setting where scope = ? and name = ?", _PAUSED[:2])


class RawFiles:
    """Scripts, each recorded once on a store and replayed on fresh copies of it."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._scripts: dict[object, raw.Script] = {}

    def puts(self, count: int, size: int) -> float:
        return self._rate(("puts", count, size), self._files.empty, lambda store: raw.script_of_puts(store, count, size))

    def drain(self, task: str, count: int, keys: int = 0) -> float:
        return self._rate(
            ("drain", task, count, keys), lambda: self._files.filled(task, count, keys), lambda store: raw.script_of_drain(store, count)
        )

    def transactions(self, count: int) -> float:
        return self._rate(
            ("tx", count), lambda: self._files.filled("register", count), lambda store: raw.script_of_transactions(store, count)
        )

    def publishes(self, count: int, size: int) -> float:
        return self._rate(("publishes", count, size), self._files.empty, lambda store: raw.script_of_publishes(store, count, size))

    def appends(self, count: int, size: int) -> float:
        return self._rate(("appends", count, size), self._files.empty, lambda store: raw.script_of_appends(store, count, size))

    def _rate(self, name: object, fresh: Callable[[], Site], record: Callable[[Path], raw.Script]) -> float:
        if name not in self._scripts:
            site = fresh()
            self._scripts[name] = record(Path(site.name))
            self._files.drop(site)
        script = self._scripts[name]
        site = fresh()
        seconds = script.replay(Path(site.name))
        self._files.drop(site)
        return script.count / seconds
