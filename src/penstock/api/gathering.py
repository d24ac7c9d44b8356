"""The results of many jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TypeVar

from penstock.api.job import Job
from penstock.model.clock import Duration, seconds

R = TypeVar("R")


async def gather(jobs: Iterable[Job[R]], timeout: Duration | None) -> list[R]:
    """In the order of the jobs. The first that fails is raised at once, and nobody waits for the others any more."""
    waits: list[asyncio.Task[R]] = []
    try:
        for job in jobs:
            waits.append(asyncio.ensure_future(job.result()))
        async with asyncio.timeout(None if timeout is None else seconds(timeout)):
            return await asyncio.gather(*waits)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
