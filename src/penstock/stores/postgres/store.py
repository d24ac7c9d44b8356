"""The store on one PostgreSQL schema: puts the parts together, opens and closes them."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from msgspec import Struct

from penstock.errors import ConfigurationError, StoreError, StoreUnavailable
from penstock.model.clock import SECOND
from penstock.model.events import Trouble
from penstock.model.statement import Program, Statement
from penstock.ports.signals import Signals
from penstock.ports.store import Durability
from penstock.ports.transaction import Carrier
from penstock.stores.postgres.access import Access
from penstock.stores.postgres.address import Address
from penstock.stores.postgres.bells import Bells
from penstock.stores.postgres.carriers import AsyncpgCarrier, PsycopgCarrier, Threads
from penstock.stores.postgres.clock import MEASURE_EVERY, PostgresClock
from penstock.stores.postgres.dialect import make_dialect
from penstock.stores.postgres.follow import PostgresFollow
from penstock.stores.postgres.guard import Guard
from penstock.stores.postgres.handle import Handle
from penstock.stores.postgres.joined import Host, Joined
from penstock.stores.postgres.library import load
from penstock.stores.postgres.look import Bounds
from penstock.stores.postgres.opening import Identity, open_schema
from penstock.stores.postgres.pool import ERRORS, Pool
from penstock.stores.postgres.pulse import Pulse
from penstock.stores.postgres.queue import PostgresQueue
from penstock.stores.postgres.reader import PostgresReader
from penstock.stores.postgres.registry import Lives, PostgresLeases
from penstock.stores.postgres.siding import ASIDE
from penstock.stores.postgres.transaction import Transaction
from penstock.stores.postgres.writer import PostgresWriter
from penstock.stores.sql.boot import boot_id
from penstock.stores.sql.inspect import SqlInspect
from penstock.stores.sql.log import SqlLog
from penstock.stores.sql.operations import Run
from penstock.stores.sql.room import PATIENCE
from penstock.stores.sql.settings import SqlSettings
from penstock.stores.sql.timetable import SqlSchedules

log = logging.getLogger("penstock.store")

TX_LIMIT = 600.0
"""Seconds that a transaction may stay open: it holds back vacuum, and after an append all feeds."""
_WORK, _LANES, _TRANSACTIONS = 6, 2 + ASIDE, 16
"""Connections of a process, at the most. Apart: so handlers, who hold one and wait for work to be written, cannot hold all."""
_FOLD, _FOLD_ANYHOW, _DELTAS = 0.5, 10.0, 20_000
"""Seconds between two folds of the counters, and rows in one."""
_GUESSES = (0.005, 0.05, 0.25)
"""Seconds after a write in a user's transaction, when it may have been committed."""


class Transactions(Struct, frozen=True):
    """How handlers' transactions are made."""

    limit: float = TX_LIMIT
    psycopg: Any = None
    """The module, for who blocks a thread."""
    carriers: Callable[[], Carrier] | None = None
    """On an engine of the user's, instead."""


class Parts(Struct, frozen=True):
    """What is open."""

    pools: Sequence[Pool]
    access: Access
    writer: PostgresWriter
    reader: PostgresReader
    pulse: Pulse
    host: Host
    threads: Threads


class PostgresStore:
    """Implements `ports.store.Store`. Lives on the loop that opens it."""

    one_writer = False

    queue: PostgresQueue
    log: SqlLog
    leases: PostgresLeases
    schedules: SqlSchedules
    inspect: SqlInspect
    settings: SqlSettings
    follow: PostgresFollow

    def __init__(
        self,
        address: Address,
        *,
        signals: Signals,
        durability: Durability = "power",
        limits: Mapping[str, int] | None = None,
        patience: float = PATIENCE,
        clock: PostgresClock | None = None,
        transactions: Transactions | None = None,
    ) -> None:
        self.clock = clock or PostgresClock()
        self._address = address
        self._signals = signals
        self._durability: Durability = durability
        self._limits = limits if limits is not None else {}
        self._patience = patience
        self._transactions = transactions or Transactions()
        self._parts: Parts | None = None
        self._house: asyncio.Task[None] | None = None
        self._leads_until = 0.0
        self._begun: weakref.WeakSet[Transaction] = weakref.WeakSet()

    @property
    def url(self) -> str:
        return self._address.masked

    async def open(self, *, migrate: bool = True) -> None:
        if self._parts is not None:
            return
        address = self._address
        pools = [Pool(address, _WORK), Pool(address, _WORK, relaxed=True), Pool(address, _TRANSACTIONS, lent=True)]
        pools += [Pool(address, _LANES, relaxed=relaxed, hasty=True) for relaxed in (False, True)]
        try:
            await pools[0].start()
            for pool in pools:
                pool.pooled = pools[0].pooled
            async with pools[0].lend() as connection:
                identity = await open_schema(connection, self._address, migrating=migrate)
            self._parts = self._put_together(pools, identity)
            await self._measure()
        except BaseException:
            await self.close()
            for pool in pools:
                await pool.close()
            raise
        self._house = asyncio.get_running_loop().create_task(self._keep_house())

    async def close(self) -> None:
        parts, self._parts = self._parts, None
        if parts is None:
            return
        if self._house is not None:
            self._house.cancel()
            with suppress(asyncio.CancelledError):
                await self._house
        for transaction in list(self._begun):
            await transaction.rollback("the store was closed: the transaction was rolled back")
        await parts.writer.close()
        await parts.access.bells.close()
        await asyncio.to_thread(parts.pulse.close)
        parts.threads.close()
        self.leases.close()
        for pool in parts.pools:
            await pool.close()

    def transaction(self, *, shared: bool = False, blocking: bool = False) -> Handle:
        parts = self._opened()
        carrier = self._carrier(parts, blocking)
        library = parts.host.libraries[carrier.driver]
        transaction = Transaction(parts.access, carrier, library, parts.host.guard, self._transactions.limit)
        self._begun.add(transaction)
        return Handle(transaction, self.queue)

    async def check_transactions(self, *, blocking: bool) -> None:
        """On an engine of the user's one is begun. What is not the program's fault, as a server that is away, passes."""
        transaction = self.transaction(blocking=blocking)
        if self._transactions.carriers is not None:
            try:
                await transaction.fetch("select 1", {})
            except ConfigurationError:
                raise
            except Exception:
                log.warning("App(transactions=engine): no transaction could be begun now", exc_info=True)
            await transaction.rollback()

    def join(self, connection: object) -> Joined:
        return Joined(self._opened().host, connection)

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self._opened().access.bells.listen(wake)

    def _carrier(self, parts: Parts, blocking: bool) -> Carrier:
        if self._transactions.carriers is not None:
            carrier = self._transactions.carriers()
            if carrier.driver not in parts.host.libraries:
                raise ConfigurationError(f"App(transactions=engine): an engine on asyncpg or psycopg, not on {carrier.driver}")
            return carrier
        if blocking and self._transactions.psycopg is None:
            raise ConfigurationError('on PostgreSQL a def handler\'s tx is on psycopg; install it with:  pip install "penstock[postgres]"')
        return PsycopgCarrier(parts.threads) if blocking else AsyncpgCarrier(parts.pools[2])

    # -- opening

    def _put_together(self, pools: Sequence[Pool], identity: Identity) -> Parts:
        address = self._address
        dialect, bounds = make_dialect(strict=address.strict), Bounds(SECOND if pools[1].pooled else None)
        bells = Bells(pools[1], f"penstock_{identity.store_id[:16]}", bounds.haste)
        library = load(schema=address.schema)
        power = self._durability != "process"
        access = Access(pools[0], pools[1], library, dialect, self.clock, self._signals, power, bells, (pools[3], pools[4]))
        writer, reader, pulse = PostgresWriter(access), PostgresReader(access), Pulse(access)
        libraries = {"asyncpg": library, "psycopg": load("psycopg", address.schema)}
        guard = Guard(identity.mark, address.masked, self._durability == "power", weakref.WeakSet())
        host = Host(access, libraries, guard, self._guess)
        self.queue = PostgresQueue((writer, reader), dialect, bounds, self._limits, self._patience)
        pools[1].connected = self.queue.connected
        self.log = SqlLog(writer, reader, dialect)
        lives = Lives(identity.store_id, boot_id(), self._no_lock_file)
        self.leases = PostgresLeases((writer, reader), pulse, dialect.put, lives, self._lead)
        self.schedules = SqlSchedules(writer, reader, self.clock, dialect)
        self.inspect = SqlInspect(reader, self.clock, dialect, lives.died)
        self.settings = SqlSettings(writer, reader)
        self.follow = PostgresFollow(writer, bells)
        threads = Threads(self._transactions.psycopg, address.libpq, _TRANSACTIONS, pooled=pools[0].pooled)
        return Parts(pools, access, writer, reader, pulse, host, threads)

    def _opened(self) -> Parts:
        if self._parts is None:
            raise StoreUnavailable(f"{self.url} is not open")
        return self._parts

    def _no_lock_file(self, error: Exception) -> None:
        self._signals.emit(Trouble("no lock file for a worker: if it dies, others wait for its lease", error))

    # -- keeping house

    def _lead(self, lease: int) -> None:
        self._leads_until = asyncio.get_running_loop().time() + lease / 1_000_000

    async def _keep_house(self) -> None:
        """Measure the clock now and then. Who keeps house for the store folds the counters; seldom all do, as no worker may be up."""
        loop = asyncio.get_running_loop()
        measure_at, fold_at = loop.time() + MEASURE_EVERY, loop.time() + _FOLD_ANYHOW
        while True:
            await asyncio.sleep(_FOLD)
            with suppress(StoreError, *ERRORS):
                if loop.time() >= measure_at:
                    measure_at = loop.time() + MEASURE_EVERY
                    await self._measure()
                if loop.time() < self._leads_until or loop.time() >= fold_at:
                    fold_at = loop.time() + _FOLD_ANYHOW
                    await self._opened().writer.submit(Run(lambda _: _fold(), "fold the counters", durable=False))

    async def _measure(self) -> None:
        reader = self._opened().reader

        async def ask() -> int:
            return int((await reader.rows("server_time", {}))[0][0])

        await self.clock.measure(ask)

    def _guess(self) -> None:
        """On any thread: a user's transaction may be committed soon, and some drivers do not tell."""
        loop = self._opened().writer.loop
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._guess_here, loop)

    def _guess_here(self, loop: asyncio.AbstractEventLoop) -> None:
        for seconds in _GUESSES:
            loop.call_later(seconds, self._ring)

    def _ring(self) -> None:
        if self._parts is not None:
            self._parts.access.bells.ring()


def _fold() -> Program[Any]:
    yield Statement("fold_counters", {"limit": _DELTAS})
