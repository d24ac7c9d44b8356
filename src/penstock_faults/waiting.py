"""What programs that kill other processes, and those that are killed, share: they wait by looking, and end with a verdict."""

from __future__ import annotations

import asyncio
import ctypes
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn

_LOOK, _RARELY = 0.01, 0.25
"""Seconds between two looks."""


def wait_for(condition: Callable[[], bool], what: str, patience: float = 30) -> None:
    """Looks cost a fifth of the time at most, if one takes no longer than 60 ms: those who are looked at need the machine."""
    deadline = time.monotonic() + patience
    while True:
        began = time.monotonic()
        if condition():
            return
        now = time.monotonic()
        if now > deadline:
            raise SystemExit(f"waited {patience:g} s for {what}")
        time.sleep(min(max(_LOOK, 4 * (now - began)), _RARELY))


def wait_for_none(left: Callable[[], int], what: str, patience: float = 30) -> None:
    """Until nothing is left. `patience`: since there was last less than ever before, so that a machine that is slow is no fault."""
    least, since = math.inf, time.monotonic()

    def none() -> bool:
        nonlocal least, since
        count = left()
        if count < least:
            least, since = count, time.monotonic()
        elif time.monotonic() - since > patience:
            raise SystemExit(f"waited {patience:g} s for {what}, of which {least} are left")
        return count == 0

    wait_for(none, what, math.inf)


async def until(true: Callable[[], bool], what: str, patience: float) -> None:
    """As `wait_for`, on a loop."""
    async with asyncio.timeout(patience):
        while not true():
            await asyncio.sleep(0.002)


def die_with_parent() -> None:
    """A harness that is killed leaves nobody behind. HARNESS: its pid, where nobody stands between it and us."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.environ.get("HARNESS", str(os.getppid())) != str(os.getppid()):
        sys.exit("the harness died before this process could die with it")


def kill_all(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.kill()
        process.wait()


def conclude(result: Mapping[str, object]) -> NoReturn:
    print(json.dumps(result, indent=1))
    sys.exit(0 if result["ok"] else 1)
