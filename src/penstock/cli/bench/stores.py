"""Store files: made once, copied for each round."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import TracebackType

import click

from penstock.cli.bench import processes
from penstock.stores.sqlite import connection as connections

GLANCE = 0.002
"""Seconds between two looks at a store that is being drained."""

_PAUSED = ("queue:bench", "paused", "true", "bench", 0)

_ARRIVALS = "select result from penstock_finished where result is not null"
_MOMENTS = "select body, result from penstock_message join penstock_finished using (seq) where result is not null"


class Stores:
    """In one folder, which is removed afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: dict[tuple[str, int, int], Path] = {}
        self._copies = 0

    def empty(self) -> Path:
        return self.filled("nothing", 0)

    def filled(self, task: str, count: int, keys: int = 0) -> Path:
        """A copy of a store with `count` jobs of `task` that wait. Nobody has it open, and it is on the disk."""
        made = self._made.get((task, count, keys))
        if made is None:
            made = self._made[task, count, keys] = self._make(task, count, keys)
        self._copies += 1
        copy = self.folder / f"store-{self._copies}.db"
        shutil.copyfile(made, copy)
        copy.chmod(0o600)
        os.sync()
        return copy

    def drop(self, store: Path) -> None:
        for path in self.folder.glob(f"{store.stem}.*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _make(self, task: str, count: int, keys: int) -> Path:
        path = self.folder / f"{task}-{count}-{keys}.db"
        processes.produce(path, "fill", task, max(count, 1), keys)
        with closing(connections.connect(str(path))) as connection:
            if not count:
                for table in ("message", "ready", "counter"):
                    connection.execute(f"delete from penstock_{table}")
            connection.execute("create table bench_user (id integer primary key, n integer not null, name text not null)")
            connection.execute("create table bystander (id integer primary key, at real not null)")
            connection.execute("pragma wal_checkpoint(truncate)").fetchall()
        if path.with_name(f"{path.name}-wal").exists():
            raise click.ClickException(f"{path} is still open somewhere")
        return path


class Watch:
    """Looks at a store from outside while others work on it. A queue that is paused first starts at a known moment."""

    def __init__(self, store: Path) -> None:
        self._connection = connections.connect(str(store))

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def pause(self) -> None:
        self._connection.execute("insert or replace into penstock_setting (scope, name, value, by, at) values (?, ?, ?, ?, ?)", _PAUSED)

    def resume(self) -> None:
        self._connection.execute("delete from penstock_setting where scope = ? and name = ?", _PAUSED[:2])

    def workers(self) -> list[int]:
        return [pid for (pid,) in self._connection.execute("select pid from penstock_worker")]

    def begun(self) -> int:
        return self._one("select coalesce(sum(running + done), 0) from penstock_counter")

    def done(self) -> int:
        return self._one("select coalesce(sum(done), 0) from penstock_counter")

    def users(self) -> int:
        return self._one("select coalesce(max(id), 0) from bench_user")

    def puts(self) -> int:
        """Commits that brought messages: all of one commit have one time."""
        return self._one("select count(distinct enqueued) from penstock_message")

    def moments(self) -> dict[int, int]:
        """When each `moment` began, by its number."""
        return {json.loads(body)["n"]: json.loads(result) for body, result in self._connection.execute(_MOMENTS)}

    def arrivals(self) -> dict[int, int]:
        """When the handler of each `Moment` began, by its number."""
        return dict(json.loads(result) for (result,) in self._connection.execute(_ARRIVALS))

    def until(self, condition: Callable[[], bool], alive: Callable[[], None]) -> float:
        """Look until it holds; `alive` raises if that cannot happen any more. Returns when it did not hold for the last time."""
        deadline = time.perf_counter() + processes.PATIENCE
        looked = before = time.perf_counter()
        while not condition():
            before = looked
            if looked > deadline:
                raise click.ClickException(
                    f"not done after {processes.PATIENCE:g} s: {self.workers()} run, {self.begun()} begun, {self.done()} done"
                )
            alive()
            time.sleep(GLANCE)
            looked = time.perf_counter()
        return before

    def _one(self, sql: str) -> int:
        with closing(self._connection.execute(sql)) as cursor:
            return int(cursor.fetchone()[0])
