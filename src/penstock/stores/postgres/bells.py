"""Wake-ups: NOTIFY after a commit, coalesced, and never in a producer's transaction; polling behind it.

Everybody of a store listens on one channel. `ring` and a process's name say that a commit of it may have brought work; signs of queues
and ranks behind them, that messages were put there (`haste`). `told`, a process's name and jobs, that those ended and that process
waits for them. Words are hints: one that is lost costs a look that comes later. Behind a transaction pooler nobody can listen: then
looks come more often, the sooner after somebody was rung.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

from penstock.errors import StoreError
from penstock.model.statement import Rows
from penstock.stores.postgres.haste import Haste, sign
from penstock.stores.postgres.pool import ERRORS, Pool
from penstock.stores.sql.expected import Expected

_NOTIFY = "select pg_notify($1, word) from unnest($2::text[]) word"
_PAUSE = 0.005
"""Seconds between two NOTIFYs of a process."""
_LOOK = 1.0
_LOOKS = (0.02, 0.5)
"""Without a listener: the first, and the longest, pause between looks."""
_BACK = 0.5
_JOBS = 50
"""In one word: NOTIFY takes 8,000 bytes."""
_SIGNS = 20
"""Queues and ranks that one ring names; of more it names none."""
_PING, _PATIENCE = 10, 5.0
"""Looks after which a silent connection is tried, and seconds that it has to answer."""


class Bells:
    """Lives on one loop."""

    def __init__(self, pool: Pool, channel: str, haste: Haste) -> None:
        """`pool`: relaxed; a hint needs no flush to disk."""
        self.ear = secrets.token_hex(6)
        self._pool = pool
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._wakes: list[Callable[[], None]] = []
        self._expected = Expected()
        self._haste = haste
        self._rings: set[str] | None = None
        self._words: list[str] = []
        self._sender: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[None] | None = None
        self._broken = asyncio.Event()
        self._quiet = _LOOKS[0]

    # -- saying

    def ring(self, ranks: Set[tuple[str, int]] = frozenset()) -> None:
        """A commit may have brought work; of these queues, to these ranks, it did."""
        signs = {sign(*each) for each in ranks} if len(ranks) <= _SIGNS else set()
        self._haste.hear(signs)
        self._wake()
        self._rings = signs if self._rings is None else self._rings | signs
        self._send_soon()

    def tell(self, heard: Rows) -> None:
        """(job, ear): whom to tell of what has ended."""
        others: defaultdict[str, list[str]] = defaultdict(list)
        for job, ear in heard:
            if ear == self.ear:
                self._expected.tell(job)
            else:
                others[ear].append(job)
        for ear, jobs in others.items():
            for start in range(0, len(jobs), _JOBS):
                self._words.append(f"told {ear} {' '.join(jobs[start : start + _JOBS])}")
        if self._words:
            self._send_soon()

    def _send_soon(self) -> None:
        if self._sender is None:
            self._sender = self._loop.create_task(self._send())

    def _take_words(self) -> list[str]:
        words, self._words = self._words, []
        if self._rings is not None:
            signs, self._rings = self._rings if len(self._rings) <= _SIGNS else (), None
            words.append(" ".join(("ring", self.ear, *signs)))
        return words

    async def _send(self) -> None:
        try:
            while words := self._take_words():
                with suppress(StoreError, *ERRORS):  # a hint
                    async with self._pool.lend() as connection:
                        await _notify(connection, self._pool.pooled, self._channel, words)
                await asyncio.sleep(_PAUSE)
        finally:
            self._sender = None

    # -- hearing

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        self._wakes.append(wake)
        self._start()
        return lambda: self._wakes.remove(wake)

    @contextmanager
    def expecting(self, job_id: str) -> Iterator[asyncio.Event]:
        """Set when the end of that job is told."""
        self._start()
        with self._expected.expecting(job_id) as told:
            yield told

    async def close(self) -> None:
        for task in (self._sender, self._listener):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    def _start(self) -> None:
        if self._listener is None:
            self._listener = self._loop.create_task(self._poll() if self._pool.pooled else self._listen())

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._quiet)
            self._quiet = min(self._quiet * 1.5, _LOOKS[1])
            self._call()

    async def _listen(self) -> None:
        """A connection of its own; what came while there was none is looked for."""
        while True:
            connection = None
            try:
                connection = await self._pool.connect()
                self._broken.clear()
                connection.add_termination_listener(lambda _: self._broken.set())
                await connection.add_listener(self._channel, self._hear)
                for n in count():
                    self._call()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._broken.wait(), _LOOK)
                        break
                    if n % _PING == 0:
                        await connection.execute("select 1", timeout=_PATIENCE)
            except (StoreError, *ERRORS):
                await asyncio.sleep(_BACK)
            finally:
                if connection is not None:
                    connection.terminate()

    def _hear(self, connection: object, pid: int, channel: str, word: str) -> None:
        what, ear, *rest = word.split(" ")
        if what == "ring" and ear != self.ear:
            self._haste.hear(rest)
            self._wake()
        if what == "told" and ear == self.ear:
            for job in rest:
                self._expected.tell(job)

    def _wake(self) -> None:
        self._quiet = _LOOKS[0]
        self._call()

    def _call(self) -> None:
        for wake in list(self._wakes):
            wake()


async def _notify(connection: Any, pooled: bool, channel: str, words: list[str]) -> None:
    if not pooled:
        await connection.fetch(_NOTIFY, channel, words)
        return
    async with connection.transaction():
        await connection.fetch(_NOTIFY, channel, words)
