"""Handlers in child processes. As a program of its own it is their worker:  apart.py"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from penstock import App, Context, Delivery, Reject, Retry, RetryAfter, Snooze, inject

if "APART_BROKEN" in os.environ:
    raise RuntimeError("no good here")

ONCE = Retry(attempts=1)
NEVER = threading.Event()
kept = ExitStack()


@dataclass
class Resources:
    pid: int
    entered: int = 1


@asynccontextmanager
async def resources() -> AsyncIterator[Resources]:
    yield Resources(os.getpid())
    if "APART_LEFT" in os.environ:
        Path(os.environ["APART_LEFT"], str(os.getpid())).touch()


app = App(name="shop", lifespan=resources)


@contextmanager
def begin(line: str) -> Iterator[TextIO]:
    """Says who runs, on a pipe that ends when nobody holds it any more."""
    with Path(line).open("w") as pipe:
        print(os.getpid(), file=pipe, flush=True)
        yield pipe


def made_in() -> int:
    return os.getpid()


@dataclass
class Facts:
    pid: int
    number: int
    attempt: int
    job_id: str
    headers: dict[str, str]
    cancelled: bool
    state: int
    injected: int
    main_thread: bool


@app.task(isolation="process", retry=ONCE)
def facts(ctx: Context[Resources], number: int, injected: int = inject(made_in)) -> Facts:
    return facts_of(ctx, number, injected)


@app.task(isolation="process", retry=ONCE)
async def async_facts(ctx: Context[Resources], number: int, injected: int = inject(made_in)) -> Facts:
    await asyncio.sleep(0)
    return facts_of(ctx, number, injected)


def facts_of(ctx: Context[Resources], number: int, injected: int) -> Facts:
    main = threading.current_thread() is threading.main_thread()
    return Facts(os.getpid(), number, ctx.attempt, ctx.job_id, dict(ctx.headers), ctx.cancelled, ctx.state.pid, injected, main)


@app.task(isolation="process", retry=ONCE)
def render(ctx: Context[Resources], line: str, go: str) -> Any:
    """Says how far it is, goes on when somebody writes to the second pipe, and returns what came before it."""
    ctx.progress(0.5, f"in {os.getpid()}")
    with begin(line), Path(go).open() as pipe:
        pipe.read()
    return ctx.previous


@app.task(isolation="process", retry=ONCE)
def nothing() -> None:
    """Not even a result."""


@app.task(isolation="process", retry=ONCE)
def unfit_result() -> object:
    return object()


@app.task(isolation="process", retry=Retry(attempts=3, first=0.01, give_up=(KeyError,)))
def end(how: str) -> str:
    match how:
        case "error":
            raise ValueError("not good")
        case "gives up":
            raise KeyError("gone")
        case "reject":
            raise Reject("no such thing")
        case "exit":
            sys.exit("enough")
        case "stop":
            raise StopIteration
        case _:
            raise AssertionError(how)


@app.task(isolation="process", retry=Retry(attempts=3, first=3600))
async def later(ctx: Context, how: str, marker: str) -> int:
    """Ends as it is told for the first time, and well for the second."""
    if not Path(marker).exists():
        Path(marker).touch()
        raise RetryAfter(0.01) if how == "retry" else Snooze(0.01)
    return ctx.attempt


@app.task(isolation="process", retry=ONCE)
def crash(how: str) -> None:
    print("last words", file=sys.stderr, flush=True)
    if how == "segfault":
        ctypes.string_at(0)
    os._exit(3)


@app.task(isolation="process", retry=ONCE, memory="150MB")
def hog(line: str) -> None:
    with begin(line) as pipe:
        held = b"x" * 250_000_000
        NEVER.wait()
        print(len(held), file=pipe)


@app.task(isolation="process", retry=ONCE, timeout=math.inf)
def hang(line: str) -> None:
    with begin(line):
        NEVER.wait()


@app.task(isolation="process", retry=ONCE)
def stay(line: str) -> None:
    """Holds the pipe as long as its process lives."""
    kept.enter_context(begin(line))


@app.task(isolation="process", retry=ONCE, timeout=0.3)
def late(line: str) -> None:
    with begin(line) as pipe:
        subprocess.run([sys.executable, "-c", "import threading; threading.Event().wait()"], pass_fds=[pipe.fileno()], check=True)


@app.task(isolation="process", retry=ONCE)
def wait(line: str, go: str) -> str:
    """Until somebody writes to the second pipe."""
    with begin(line):
        return Path(go).read_text()


@app.task(isolation="process", retry=ONCE)
def obey(ctx: Context, line: str, told: str) -> str:
    with begin(line):
        while not ctx.cancelled:
            NEVER.wait(0.01)
    Path(told).touch()
    return "obeyed"


@app.task(isolation="process", retry=ONCE)
async def async_obey(line: str, told: str) -> None:
    try:
        with begin(line):
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        Path(told).touch()
        raise


@app.task(isolation="process", retry=ONCE)
def blocked_signals() -> list[str]:
    return [signal.Signals(number).name for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])]


@app.task(isolation="process", retry=ONCE)
def logs(text: str) -> int:
    logging.getLogger("apart").warning(text)
    return os.getpid()


@app.task(isolation="process", retry=ONCE)
def descriptors() -> list[str]:
    """What this process has open."""
    folder = Path("/proc/self/fd")
    return [str(entry.readlink()) for entry in folder.iterdir() if entry.is_symlink()]


@app.task()
async def follow_up(number: int) -> int:
    return number * 2


@app.task(isolation="process", retry=ONCE)
def enqueues(number: int) -> str:
    return follow_up.sync.enqueue(number).id


@app.task(isolation="process", retry=ONCE)
async def async_enqueues(number: int) -> str:
    return (await follow_up.enqueue(number)).id


errors: list[tuple[int, str, Exception]] = []


@app.on_error
def failed(delivery: Delivery, error: Exception) -> None:
    errors.append((os.getpid(), delivery.task, error))


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with app.worker():
        print("ready", flush=True)
        await stop.wait()
    await app.close()


if __name__ == "__main__":
    asyncio.run(main())
