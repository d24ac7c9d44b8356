"""One database transaction for a handler or for `app.transaction()`: its carrier, its lock, its time limit, its end.

It begins at its first statement and then has `limit` seconds. Past them a statement that runs is cancelled, the transaction is rolled
back, and everything that still comes gets `TransactionClosed` with the last statement's text. One lock serialises everybody who
uses it. A crash anywhere before the commit leaves nothing: neither rows, nor follow-ups, nor the settlement.

A statement that fails spoils a transaction of PostgreSQL's, whatever the handler makes of the error: then the commit fails, too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from penstock.errors import ConfigurationError, PublishUnknown, StoreUnavailable, TransactionClosed
from penstock.model.statement import Program
from penstock.ports.transaction import Carrier, Stranger
from penstock.stores.postgres.access import Access
from penstock.stores.postgres.carriers import FAILED
from penstock.stores.postgres.failures import lost, state_of, translate
from penstock.stores.postgres.guard import Guard
from penstock.stores.sql.executors import drive_async
from penstock.stores.sql.library import Library

T = TypeVar("T")

_DOING, _COMMITS = "run a statement in a transaction", "commit a transaction"
_IN_FAILED = "25P02"
_MORE = 5
"""Seconds that the server waits longer than we do."""
ENDED = "something of yours ended the transaction, by tx.connection; that is for its handler or block to do, by returning or raising"

log = logging.getLogger("penstock.store")


class Transaction:
    """Lives on the loop of its store."""

    def __init__(self, access: Access, carrier: Carrier, library: Library, guard: Guard, limit: float) -> None:
        """`library` in the language of the carrier's driver."""
        self.access = access
        self.carrier = carrier
        self.loop = asyncio.get_running_loop()
        self.limit = limit
        self.started = False
        self.refused = False
        """It could not begin, for the store's reasons."""
        self.over: str | None = None
        self.last = ""
        """The SQL of the user's statement that came last."""
        self._library = library
        self._guard = guard
        self._open = False
        self._lock = asyncio.Lock()
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._late: asyncio.Task[None] | None = None

    async def drive(self, make: Callable[[int], Program[T]]) -> T:
        """Inside `run` or `commit`."""
        return await drive_async(make(self.access.clock.now()), self._library, self.carrier.run)

    async def run(self, work: Callable[[Carrier], Awaitable[T]]) -> T:
        """Raises TransactionClosed when it is over, StoreError, and the driver's own errors of a statement."""
        async with self._lock:
            await self._begin()
            await self._check_whole()
            try:
                async with asyncio.timeout_at(self._deadline):
                    return await work(self.carrier)
            except TimeoutError:
                if self.loop.time() < self._deadline:
                    raise
                await self._expire()
                raise TransactionClosed(str(self.over)) from None
            except Exception as error:
                raise (await self._explain(error)) from error

    async def rollback(self, why: str = "the transaction was rolled back") -> None:
        async with self._lock:
            if self.over is None:
                if self._lost:
                    log.error("%s; what was committed there stays; its last statement: %s", ENDED, self._said)
                await self._give_up(why + ("" if self.started else " before it began"))

    # -- ends

    async def commit(self, finish: Callable[[Carrier], Awaitable[None]]) -> None:
        """`finish` writes what is left; if it fails, all is rolled back. Whoever waits for it is not to be cancelled meanwhile."""
        async with self._lock:
            await self._begin()
            await self._check_whole()
            reach = self.access.signals.reach
            try:
                await finish(self.carrier)
                reach("tx.before_commit")
                await self._end_well()
            except BaseException as error:
                explained = await self._explain(error) if isinstance(error, Exception) else error
                await self._give_up("the transaction has ended")
                raise explained from error
            reach("tx.after_commit")
            self._end("the transaction has ended")

    async def _end_well(self) -> None:
        try:
            await self.carrier.commit()
        except TransactionClosed:
            self._open = False  # rolled back, by its commit
            raise
        except Exception as error:
            if lost(error) or self.carrier.broken:
                raise PublishUnknown(f"{_COMMITS}: the connection broke meanwhile; look whether it is there ({error})") from error
            raise
        self._open = False

    async def _begin(self) -> None:
        if self.over is not None:
            raise TransactionClosed(self.over)
        if self._open:
            return
        self.refused = True
        try:
            await self._make_sure(await self.carrier.begin(self._settings()))
        except ConfigurationError:
            self.refused = False  # the program's fault: to try again, uncounted, would be for ever
            raise
        except Exception as error:
            raise (translate(error, "begin a transaction") or error) from error
        self.refused = False
        self.started = self._open = True
        self._deadline = self.loop.time() + self.limit
        self._timer = self.loop.call_at(self._deadline, self._look_late)
        self.access.signals.reach("tx.begun")

    def _settings(self) -> Mapping[str, str]:
        """A process that stands still is ended by the server; one that lives ends the transaction itself, before that."""
        flush, still = "on" if self.access.power else "off", round((self.limit + _MORE) * 1000)
        return {"synchronous_commit": flush, "idle_in_transaction_session_timeout": str(still)}

    async def _make_sure(self, stranger: Stranger | None) -> None:
        if stranger is not None:
            try:
                await drive_async(self._guard.met(stranger), self._library, self.carrier.run)
            except BaseException:
                await self._undo()
                raise

    @property
    def _lost(self) -> bool:
        return self._open and not self.carrier.broken and self.carrier.ended

    async def _check_whole(self) -> None:
        """Else what comes next, the settlement too, would be committed by itself."""
        if self._lost:
            await self._give_up(ENDED)
            raise TransactionClosed(str(self.over))

    async def _explain(self, error: Exception) -> Exception:
        if self.carrier.broken:
            await self._give_up(f"the connection broke: {error}")
            if isinstance(error, PublishUnknown):
                return error
            return translate(error, _DOING) or StoreUnavailable(f"{_DOING}: the connection broke ({error})")
        if state_of(error) == _IN_FAILED:
            return TransactionClosed(FAILED)
        return translate(error, _DOING) or error

    def _look_late(self) -> None:
        self._late = self.loop.create_task(self._time_out())

    async def _time_out(self) -> None:
        async with self._lock:
            if self.over is None:
                await self._expire()

    async def _expire(self) -> None:
        await self._give_up(f"the transaction was open for more than {self.limit:g} s and was rolled back")

    async def _give_up(self, why: str) -> None:
        """Roll back, if it has begun."""
        try:
            if self._open:
                self._open = False
                await self._undo()
        finally:
            self._end(f"{why}; its last statement: {self._said}" if self.started else why)

    async def _undo(self) -> None:
        """To its end, also if whoever waits for it is cancelled again: else the connection would be nobody's."""
        await asyncio.shield(self.loop.create_task(self.carrier.rollback()))

    @property
    def _said(self) -> str:
        return " ".join(self.last.split())[:200] or "none"

    def _end(self, why: str) -> None:
        if self.over is None:
            self.over = why
        if self._timer is not None:
            self._timer.cancel()
