"""Lending a test's connection to its app for one drain."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from msgspec.structs import replace

from penstock.engine.duty import Duty
from penstock.engine.ties import Ties
from penstock.stores.sqlite.clock import StoreClock
from penstock.testing.borrowed.connection import Borrowed
from penstock.testing.borrowed.desk import Desk, LoopDesk, ThreadDesk, over
from penstock.testing.borrowed.errands import incarnation, work_off
from penstock.testing.borrowed.store import BorrowedStore
from penstock.testing.process import Stage, patient


class Lending:
    """One connection, for one drain."""

    def __init__(self, stage: Stage, path: str, clock: StoreClock, connection: object) -> None:
        self._stage = stage
        self._path = path
        self._clock = clock
        self._connection = connection
        self._borrowed = Borrowed(stage.link.foreign(connection))
        self._diversion = stage.part(over)

    async def drain(self, patience: float) -> None:
        """On the caller's loop, which the connection belongs to. Raises TimeoutError."""
        desk = LoopDesk(self._borrowed)
        with self._lent(desk) as store:
            try:
                await self._stage.link.run(lambda _: self._work(store, desk, patience))
            finally:
                await desk.close()

    def drain_now(self, patience: float, instead: str) -> None:
        """On the caller's thread, which the connection belongs to."""
        desk = ThreadDesk(self._borrowed)
        with self._lent(desk) as store:
            work = _on_a_thread(lambda: self._stage.link.call(lambda _: self._work(store, desk, patience), instead))
            work.add_done_callback(lambda _: desk.close())
            desk.serve()
            work.result()

    @contextmanager
    def _lent(self, desk: Desk) -> Iterator[BorrowedStore]:
        """Meanwhile the app has no other store; afterwards what handlers left behind has none."""
        store = BorrowedStore(self._path, self._connection, desk, self._clock)

        back = self._stage.link.divert(store.opened)
        try:
            yield store
        finally:
            self._diversion.over = True
            back()

    async def _work(self, store: BorrowedStore, desk: Desk, patience: float) -> None:
        stage = self._stage
        with stage.running(self._diversion):
            async with patient(patience, store.opened), stage.app.resources() as state:
                ties = Ties(stage.new_wire(), stage.random, _nothing)
                options = replace(stage.options, concurrency=1)
                duty = Duty(store, stage.program(state, store.joined), options, ties, incarnation())
                await work_off(duty, desk, await stage.declare(store))


def _on_a_thread(run: Callable[[], None]) -> Future[None]:
    """A daemon: a Ctrl-C in the test waits for nobody."""
    done: Future[None] = Future()

    def work() -> None:
        try:
            run()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=work, name="penstock-kit", daemon=True).start()
    return done


def _nothing() -> None:
    """Nobody can take a lease that nobody else sees."""
