"""Running a fault program, as a test."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def verdict_of(program: str, *options: object) -> dict[str, Any]:
    """What it says in the end; it also says what it saw, where that is shown: on stderr. Fails if it says nothing."""
    command = [sys.executable, "-m", f"penstock_faults.{program}", *map(str, options)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.stdout, run.stderr
    print(run.stderr, file=sys.stderr)
    found: dict[str, Any] = json.loads(run.stdout)
    return found
