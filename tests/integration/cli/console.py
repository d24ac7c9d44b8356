"""The real `penstock` command in a folder of its own, and workers whose output is what a test waits for."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import penstock

PATIENCE = 30.0
"""Seconds until a test that waits in vain gives up."""

COMMAND = [sys.executable, "-m", "penstock"]


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


class Console:
    """Commands find the store by PENSTOCK_STORE."""

    def __init__(self, folder: Path, store: str | None = None) -> None:
        self.folder = folder
        source = str(Path(penstock.__file__).parents[1])
        self.environment = {**os.environ, "PYTHONPATH": source, "PYTHONUNBUFFERED": "1", "COLUMNS": "80"}
        self.environment.pop("PENSTOCK_STORE", None)
        if store is not None:
            self.environment["PENSTOCK_STORE"] = store

    def run(self, *arguments: str, given: str = "") -> Answer:
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str, given: str = "") -> Answer:
        answer = self.run(*arguments, given=given)
        assert answer.code == 0, answer
        return answer

    def json(self, *arguments: str) -> Any:
        return self.ok(*arguments, "--json").data

    @contextmanager
    def worker(self, *arguments: str) -> Iterator["Running"]:
        """A worker of `shop:app` that is ready; killed at the end of the block if it still runs."""
        with self.started("worker", "shop:app", *arguments) as running:
            running.until(r"jobs at once from")
            yield running

    @contextmanager
    def started(self, *arguments: str) -> Iterator["Running"]:
        process = subprocess.Popen(
            [*COMMAND, *arguments], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        running = Running(process)
        try:
            yield running
        finally:
            running.end()


class Running:
    """A command whose lines, those of its children included, arrive one by one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.seen: list[str] = []
        self._unasked: list[str] = []
        self._lines: Queue[str | None] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def until(self, pattern: str) -> re.Match[str]:
        """The first line that matches and was not an answer before."""
        for line in self._unasked:
            if found := re.search(pattern, line):
                self._unasked.remove(line)
                return found
        while (line := self._next(pattern)) is not None:
            if found := re.search(pattern, line):
                return found
            self._unasked.append(line)
        raise AssertionError(f"ended without {pattern!r}:\n" + "".join(self.seen))

    def closed(self) -> None:
        """Wait until nobody can write any more: the process and all its children are gone."""
        while (line := self._next("the end of the output")) is not None:
            self._unasked.append(line)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        self.send(signal.SIGTERM)
        return self.code()

    def code(self) -> int:
        self.closed()
        return self.process.wait(PATIENCE)

    def end(self) -> None:
        """Its children end by themselves: their tethers close."""
        self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _next(self, what: str) -> str | None:
        try:
            line = self._lines.get(timeout=PATIENCE)
        except Empty:
            raise AssertionError(f"{what!r} did not come within {PATIENCE} s:\n" + "".join(self.seen)) from None
        if line is not None:
            self.seen.append(line)
        return line

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)


def pid_of(match: re.Match[str]) -> int:
    return int(match["pid"])
