"""What these tests share: programs that run as processes of their own, and waiting for the store instead of for seconds."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import penstock
from penstock import App
from penstock.model.events import Event, Trouble
from tests.integration.cli.console import PATIENCE, Running

PROGRAMS = Path(__file__).parent / "programs"


@contextmanager
def program(name: str, *arguments: str, store: Path | str, prefix: Sequence[str] = ()) -> Iterator[Running]:
    """One of `programs/`: a file, or with `-m` a module. It finds its store, a file or a URL, by PENSTOCK_STORE, and is killed at the
    end of the block if it still runs."""
    source = str(Path(penstock.__file__).parents[1])
    path = os.pathsep.join((source, str(PROGRAMS)))
    url = store if isinstance(store, str) else f"sqlite:///{store}"
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PENSTOCK_STORE": url}
    process = subprocess.Popen(
        [*prefix, sys.executable, name if name == "-m" else str(PROGRAMS / name), *arguments],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    running = Running(process)
    try:
        yield running
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it forked, too
        running.end()
        assert process.stdin is not None
        process.stdin.close()


def tell(running: Running, line: str) -> None:
    """One line on its standard input."""
    assert running.process.stdin is not None
    running.process.stdin.write(line + "\n")
    running.process.stdin.flush()


async def heard(running: Running, pattern: str) -> str:
    """As `Running.until`, without blocking the loop: the whole match."""
    return (await asyncio.to_thread(running.until, pattern))[0]


async def until(app: App, condition: Callable[[], Awaitable[bool]]) -> None:
    """Look again after each commit in the store, by whomever."""
    store = await app._link.opened()
    rang = asyncio.Event()
    deafen = store.listen(rang.set)
    try:
        async with asyncio.timeout(PATIENCE):
            while not await condition():
                await rang.wait()
                rang.clear()
    finally:
        deafen()


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[App]:
    app = App(f"sqlite:///{path}", name="shop", **options)
    try:
        yield app
    finally:
        await app.close()


def rows(path: Path, sql: str) -> list[Any]:
    """By a connection of one's own: what is committed."""
    connection = sqlite3.connect(path)
    try:
        connection.execute("pragma wal_autocheckpoint = 0")
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def jobs(path: Path, task: str = "shop.%") -> int:
    """How many jobs of a task were ever kept, wherever they are now."""
    return int(rows(path, f"select count(*) from penstock_message where task like '{task}'")[0][0])


class Troubles:
    """What services of an app met and went on from."""

    def __init__(self, app: App) -> None:
        self.met: list[tuple[str, BaseException]] = []
        self.first = asyncio.Event()
        app.signals.listen(self._note)

    def _note(self, event: Event) -> None:
        if isinstance(event, Trouble):
            self.met.append((event.where, event.error))
            self.first.set()
