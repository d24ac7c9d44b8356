"""An example in a folder of its own: its commands, its server and its worker are processes, as a reader would start them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

import penstock
from tests.integration.cli.console import PATIENCE, Running
from tests.integration.play import jobs, rows

ROOT = Path(__file__).parents[3]


def argv(command: str) -> list[str]:
    """A line of a README, with the Python and the packages of these tests."""
    program, *arguments = shlex.split(command)
    return [sys.executable, *arguments] if program == "python" else [sys.executable, "-m", program, *arguments]


class Example:
    def __init__(self, name: str, folder: Path, **variables: str) -> None:
        self.folder = folder / name
        self.store = self.folder / "shop.db"
        shutil.copytree(ROOT / "examples" / name, self.folder)
        source = str(Path(penstock.__file__).parents[1])
        self._environment = {**os.environ, "PYTHONPATH": source, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "default"}
        for variable in ("PENSTOCK_STORE", "DJANGO_SETTINGS_MODULE", "FLASK_APP"):
            self._environment.pop(variable, None)
        self._environment.update(variables)

    def run(self, command: str, code: int = 0) -> str:
        """What it says."""
        done = subprocess.run(
            argv(command),
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return (done.stdout if code == 0 else done.stderr).strip()

    @contextmanager
    def started(self, command: str) -> Iterator[Running]:
        process = subprocess.Popen(
            argv(command),
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running = Running(process)
        try:
            yield running
        finally:
            running.end()

    @contextmanager
    def served(self, command: str) -> Iterator[httpx.Client]:
        """A web server on a free port, which it tells."""
        with self.started(command) as server:
            address = server.until(r"https?://[\w.]+:\d+")[0]
            with httpx.Client(base_url=address, timeout=PATIENCE, trust_env=False) as client:
                yield client

    @contextmanager
    def working(self, command: str) -> Iterator[None]:
        """A worker that is ready, and at the end of the block stops in order."""
        with self.started(command) as worker:
            worker.until("jobs at once from")
            yield
            assert worker.stop() == 0

    def kept(self, orders: str = "orders") -> tuple[int, int]:
        """How many orders are committed, and how many jobs."""
        return rows(self.store, f"select count(*) from {orders}")[0][0], jobs(self.store)

    def receipts(self, orders: str = "orders") -> list[Any]:
        return [row[0] for row in rows(self.store, f"select receipt from {orders} order by id")]
