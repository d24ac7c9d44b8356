"""Processes under measurement: started as a user starts them, and looked at from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

if TYPE_CHECKING:
    from penstock.cli.bench.sites import Site

PROGRAMS = Path(__file__).with_name("programs")
PATIENCE = 60.0
"""Seconds that a process has to do what it was started for."""

_TICK = os.sysconf("SC_CLK_TCK")


Running: TypeAlias = "subprocess.Popen[str]"


def produce(url: str, *words: object, program: str = "program") -> dict[str, Any]:
    """What a producer says after it has done its work."""
    done = subprocess.run(_python(f"{program}.py", *words), env=_environment(url), capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"the producer {words[0]!r} failed:\n{done.stderr}")
    return json.loads(done.stdout) if done.stdout else {}


@contextmanager
def worker(site: Site, processes: int = 1, *options: str, app: str = "program:app", readers: int = 0) -> Generator[Running, None, None]:
    """`penstock worker` with its defaults. Stopped in good order at the end. `readers`: subscriptions of `facts:app`."""
    command = [sys.executable, "-m", "penstock", "worker", app, "--processes", str(processes), *options]
    environment = {**_environment(site.url), "PENSTOCK_BENCH_READERS": str(readers)}
    with site.log.open("w+") as log:
        running = subprocess.Popen(command, cwd=PROGRAMS, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True)
        try:
            yield running
        finally:
            end(running)


def check(running: subprocess.Popen[str], site: Site) -> None:
    """Raises ClickException with its last words if it has ended."""
    if running.poll() is not None:
        raise click.ClickException(f"the worker ended with {running.returncode}:\n{site.log.read_text()[-2000:]}")


@contextmanager
def bystander(store: str, lock: Path, waits: dict[str, list[float]]) -> Generator[None, None, None]:
    """Another process that writes to the file meanwhile; fills `waits`."""
    running = subprocess.Popen(
        _python("bystander.py", store, lock), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert running.stdout is not None
        running.stdout.readline()
        yield
        said, trouble = running.communicate("\n", timeout=PATIENCE)
        if running.returncode:
            raise click.ClickException(f"the bystander failed:\n{trouble}")
        waits.update(json.loads(said))
    finally:
        end(running)


def end(running: subprocess.Popen[str]) -> None:
    if running.poll() is None:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def cpu_seconds(pids: Iterable[int]) -> float | None:
    """Spent so far, in user and system; None where the kernel does not tell."""
    try:
        return sum(_cpu(Path("/proc") / str(pid)) for pid in pids)
    except OSError:
        return None


def _cpu(process: Path) -> float:
    try:
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in (process / "task").iterdir()) / 1e9
    except OSError:  # a kernel without scheduler statistics counts in ticks
        return sum(map(int, _stat(process)[11:13])) / _TICK


def family_seconds(root: int) -> float | None:
    """What a server has spent so far: the process, those below it, and those below it that have ended. None if there is none."""
    processes = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    parents: dict[int, int] = {}
    for process in processes:
        with suppress(OSError):  # ended meanwhile
            parents[int(process.name)] = int(_stat(process)[1])
    if root not in parents:
        return None
    family, size = {root}, 0
    while len(family) > size:
        size = len(family)
        family |= {pid for pid, parent in parents.items() if parent in family}
    spent = 0.0
    for pid in family:
        with suppress(OSError):
            process = Path("/proc") / str(pid)
            spent += _cpu(process) + sum(map(int, _stat(process)[13:15])) / _TICK
    return spent


def parent(pid: int, name: str) -> int | None:
    """Of a process of that name; None if it is not one on this machine."""
    process = Path("/proc") / str(pid)
    try:
        return int(_stat(process)[1]) if (process / "comm").read_text().strip() == name else None
    except OSError:
        return None


def _stat(process: Path) -> list[str]:
    """What is said of it behind its name."""
    return (process / "stat").read_text().rpartition(")")[2].split()


def peak_mebibytes(pids: Iterable[int]) -> float | None:
    """The highest resident memory that any of them had."""
    try:
        return max(_peak(Path("/proc") / str(pid) / "status") for pid in pids)
    except OSError:
        return None


def _peak(status: Path) -> float:
    facts = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(facts["VmHWM"].split()[0]) / 1024


def _python(program: str, *words: object) -> list[str]:
    return [sys.executable, str(PROGRAMS / program), *map(str, words)]


def _environment(url: str) -> dict[str, str]:
    return {**os.environ, "PENSTOCK_STORE": url}
