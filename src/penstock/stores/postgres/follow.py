"""`ports.follow.Follow`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress

from penstock.errors import PublishUnknown, StoreError
from penstock.ports.follow import Report
from penstock.stores.postgres.bells import Bells
from penstock.stores.sql import watching
from penstock.stores.sql.operations import Run
from penstock.stores.sql.roads import Writing


class PostgresFollow:
    def __init__(self, writer: Writing, bells: Bells) -> None:
        self._writer = writer
        self._bells = bells

    @asynccontextmanager
    async def watch(self, job_id: str) -> AsyncGenerator[asyncio.Event, None]:
        with self._bells.expecting(job_id) as told:  # before it is written: the answer may come before that of the writer
            with suppress(StoreError, PublishUnknown):
                work = Run(lambda _: watching.watch(job_id, self._bells.ear), f"wait for job {job_id}", durable=False)
                if not await self._writer.submit(work):
                    told.set()
            yield told

    async def tell(self, owner: int, reports: Sequence[Report]) -> None:
        await self._writer.submit(Run(lambda now: watching.tell(owner, reports, now), "keep the progress of jobs", durable=False))
