"""Where peers keep their queues: made once, copied for each round, and looked at from outside while others work on them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.peers.catalogue import Peer, Where
from benchmarks.peers.programs import Programs, hear, tell
from benchmarks.services import services
from penstock.cli.bench import processes
from penstock.cli.bench.databases import Databases
from penstock.cli.bench.sites import Site

DATA = "data"


@dataclass(frozen=True)
class Queue:
    """One that workers drain."""

    done: Callable[[], int]
    server: Callable[[], float | None]
    """Seconds of CPU that what it is kept in has spent so far; None where that can't be seen."""


class Place(Protocol):
    def filled(self, peer: Peer, count: int) -> Site:
        """With `count` jobs that wait."""
        ...

    def drop(self, peer: Peer, site: Site) -> None: ...

    def watch(self, peer: Peer, site: Site, depth: int) -> AbstractContextManager[Queue]:
        """Of `depth` jobs."""
        ...


class InDatabases:
    """Of the PostgreSQL server that Penstock is measured on."""

    def __init__(self, databases: Databases, programs: Programs) -> None:
        self._databases = databases
        self._programs = programs
        self._made: dict[tuple[str, int], Site] = {}

    def filled(self, peer: Peer, count: int) -> Site:
        made = self._made.get((peer.program, count))
        if made is None:
            made = self._made[peer.program, count] = self._databases.create(f"{peer.name.lower()}_{count}")
            make(self._programs, peer, made, count)
            self._databases.rest(made)
        return self._databases.copy(made.name)

    def drop(self, peer: Peer, site: Site) -> None:
        self._databases.drop(site)

    @contextmanager
    def watch(self, peer: Peer, site: Site, depth: int) -> Generator[Queue, None, None]:
        with self._databases.watch(site) as watch:
            yield Queue(lambda: watch.number(peer.finished), watch.server)


class InFolders:
    """Each queue in a folder of its own: a file, or the data of a server that is started on it."""

    def __init__(self, folder: Path, programs: Programs) -> None:
        self._folder = folder
        self._programs = programs
        self._made: dict[tuple[str, int], Path] = {}
        self._served: dict[Path, Where] = {}
        self._folders = 0

    def filled(self, peer: Peer, count: int) -> Site:
        if (peer.name, count) not in self._made:
            self._made[peer.name, count] = self._make(peer, count)
        folder = self._next()
        shutil.copytree(self._made[peer.name, count] / DATA, folder / DATA, dirs_exist_ok=True)
        os.sync()
        return self._opened(peer, folder)

    def drop(self, peer: Peer, site: Site) -> None:
        folder = Path(site.name)
        self._close(folder)
        shutil.rmtree(folder)

    @contextmanager
    def watch(self, peer: Peer, site: Site, depth: int) -> Generator[Queue, None, None]:
        with site.log.with_suffix(".looks").open("w+") as log, self._programs.running(peer, site, "left", log) as running:

            def done() -> int:
                tell(running)
                return depth - int(hear(running, site))

            hear(running, site)
            yield Queue(done, lambda: self._spent(Path(site.name)))

    def close(self) -> None:
        for folder in list(self._served):
            self._close(folder)

    def _spent(self, folder: Path) -> float | None:
        service = self._served.get(folder)
        return 0.0 if service is None else processes.family_seconds(int((folder / f"{service}.pid").read_text()))

    def _make(self, peer: Peer, count: int) -> Path:
        folder = self._next()
        make(self._programs, peer, self._opened(peer, folder), count)
        self._close(folder)
        return folder

    def _next(self) -> Path:
        self._folders += 1
        folder = self._folder / str(self._folders)
        (folder / DATA).mkdir(parents=True)
        return folder

    def _opened(self, peer: Peer, folder: Path) -> Site:
        if peer.where == "file":
            url = str(folder / DATA / "queue.db")
        else:
            url = services("start", peer.where, folder)
            self._served[folder] = peer.where
        return Site(str(folder), url, folder / "worker.log")

    def _close(self, folder: Path) -> None:
        if (service := self._served.pop(folder, None)) is not None:
            services("stop", service, folder)


def make(programs: Programs, peer: Peer, site: Site, count: int) -> None:
    """By the peer's own verbs."""
    programs.answer(peer, site, "make")
    if count:
        programs.answer(peer, site, "fill", count)
