"""Who in this process waits for the end of which job."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Expected:
    """Used on one loop."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, list[asyncio.Event]] = defaultdict(list)

    @contextmanager
    def expecting(self, job_id: str) -> Iterator[asyncio.Event]:
        """Set when the end of that job is told."""
        told = asyncio.Event()
        self._waiting[job_id].append(told)
        try:
            yield told
        finally:
            self._waiting[job_id].remove(told)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    def tell(self, job_id: str) -> None:
        for told in self._waiting.get(job_id, ()):
            told.set()
