"""This boot of the machine: its name, and the time since it began. Containers on one kernel share both."""

from __future__ import annotations

import time
from pathlib import Path


def since_boot() -> int:
    """µs, those included in which the machine was suspended: its own clocks say nothing of that, the server's does."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return "unknown"
