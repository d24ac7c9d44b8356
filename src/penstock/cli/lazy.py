"""Loads a sub-command when it is asked for, so that probes and `--help` start fast.

`health` and `--version` are served before click is imported: an orchestrator runs a probe every few seconds for every worker.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from penstock._version import __version__


def run(arguments: Sequence[str]) -> int:
    """The exit code."""
    match list(arguments):
        case ["--version"]:
            print(f"penstock {__version__}")
            code = 0
        case ["health", *rest]:
            code = load("penstock.cli.health:main")(rest)
        case _:
            code = load("penstock.cli.root:run")(arguments)
    return int(code)


def load(target: str) -> Any:
    """What `module:name` means."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def exists(target: str) -> bool:
    """The module is part of this installation."""
    return find_spec(target.partition(":")[0]) is not None
