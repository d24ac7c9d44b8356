"""How much memory a process has resident, as Linux tells it, and who is killed for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

LOOK = 0.2
"""Seconds between two looks, while there is somebody to look at."""
_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def watchable() -> bool:
    """Whether this system tells."""
    return (_PROC / "self" / "statm").exists()


def resident(pid: int) -> int:
    """Bytes; 0 for a process that is gone. What it shares with others counts in full."""
    try:
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


class MemoryWatch:
    """Looks at those that have a limit."""

    def __init__(self, loop: asyncio.AbstractEventLoop, resident: Callable[[int], int] = resident) -> None:
        self._loop = loop
        self._resident = resident
        self._watched: dict[int, tuple[int, Callable[[str], None]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, pid: int, limit: int, kill: Callable[[str], None]) -> None:
        """`kill` is told, in words, that it uses more than `limit` bytes."""
        self._watched[pid] = (limit, kill)
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK, self._look)

    def forget(self, pid: int) -> None:
        self._watched.pop(pid, None)
        if not self._watched and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = self._loop.call_later(LOOK, self._look)
        for pid, (limit, kill) in list(self._watched.items()):
            if (used := self._resident(pid)) > limit:
                self.forget(pid)
                kill(f"used {_megabytes(used)}, its limit is {_megabytes(limit)}")


def _megabytes(size: int) -> str:
    return f"{size / 10**6:.0f} MB"
