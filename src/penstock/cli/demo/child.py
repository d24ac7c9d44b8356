"""One process of the demo, from its start to its end.

It is started by this Python, in a session of its own (Ctrl-C is for the demo alone), and holds the reading end of a pipe: see
`tied`. It is told to stop by its pid, and only a child that does not listen is killed.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

PATIENCE = 20.0
"""Seconds to come up."""
STOPPING = 30.0
"""Seconds to stop: a little longer than a worker gives its jobs."""


class ChildFailed(Exception):
    """A process of the demo ended, or did not come up."""


class Child:
    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    @classmethod
    async def start(cls, name: str, module: str, *arguments: str, log: Path, environ: Mapping[str, str]) -> Child:
        with log.open("ab") as said:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", module, *arguments,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
                env={**os.environ, **environ}, start_new_session=True,
            )  # fmt: skip
        return cls(name, process, log)

    async def facts(self) -> Mapping[str, Any]:
        """What it says when it is ready. Raises ChildFailed."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise self.failure(f"did not come up within {PATIENCE:g} s") from None
        if not line:
            raise self.failure("ended before it was ready")
        return msgspec.json.decode(line, type=dict[str, Any])

    def check(self) -> None:
        """Raises ChildFailed if it has ended."""
        if self._process.returncode is not None:
            raise self.failure(f"ended with code {self._process.returncode}")

    async def stop(self) -> bool:
        """False: it did not listen, and was killed."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(STOPPING):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            return False
        return True

    def failure(self, what: str) -> ChildFailed:
        said = self._log.read_text(errors="replace").strip().splitlines()[-15:]
        return ChildFailed("\n".join([f"The {self.name} {what}.", *said]))
