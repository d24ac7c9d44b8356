"""What a test holds."""

from __future__ import annotations

import asyncio
from datetime import datetime

from penstock.api.link import inside
from penstock.errors import ConfigurationError
from penstock.model.clock import to_datetime
from penstock.testing.borrowed.lending import Lending
from penstock.testing.clock import Length, VirtualClock, length
from penstock.testing.looking import Looking, SyncLooking
from penstock.testing.process import Plan, Stage, play
from penstock.testing.report import HandlerRaised, Report
from penstock.testing.timeline import at_once, until

_IN_A_HANDLER = "drain and advance inside a handler would wait for the handler itself; call them in the test"
_AWAIT_DRAIN = "await kit.drain(…)"
PATIENCE = 30.0
"""Real seconds that handlers may take."""


class Kit(Looking):
    """An app on a store of its own, whose time stands still until the test moves it. Made by `testing.run`.

    Between the calls of this kit nothing runs: what was enqueued waits. `drain` and `advance` start a worker, the very one that
    runs in production, and stop it when there is nothing left to do.
    """

    def __init__(self, stage: Stage, clock: VirtualClock, path: str) -> None:
        self.path = path
        """Of the store's file, for your own tables and connections."""
        super().__init__(stage.app)
        self._stage = stage
        stage.url = self.url
        self._clock = clock
        self._turn = asyncio.Lock()

    @property
    def sync(self) -> SyncKit:
        """The same for tests without an event loop."""
        return SyncKit(self)

    @property
    def url(self) -> str:
        """Of the store's file, as SQLAlchemy and Penstock write it."""
        return f"sqlite:///{self.path}"

    @property
    def now(self) -> datetime:
        """The time in the store: aware, UTC."""
        return to_datetime(self._clock.now())

    # -- running

    async def drain(self, *, tx: object = None, raise_errors: bool = True, timeout: float = PATIENCE) -> Report:
        """Run everything that can run now, and what that enqueues, until nothing is left. What is due later stays.

        `tx`: a connection or session of the test's, in whose open transaction the jobs were enqueued, for tests that never commit:
        they run inside that transaction, one after the other, and nothing is committed (docs/testing.md says what differs).

        Raises HandlerRaised when all has run, if a handler raised an exception (other than Snooze, RetryAfter and Reject, which
        say what is to happen), timed out, or could not decode its arguments; `raise_errors=False` leaves that to the report.
        Raises TimeoutError after `timeout` real seconds, with the jobs that did not end.
        """
        if tx is None:
            return await self._play(at_once, raise_errors, timeout)
        await self._link.opened()
        async with self._turn:
            await self._lend(tx).drain(timeout)
        return self._report(raise_errors)

    def _drain_now(self, tx: object, raise_errors: bool, timeout: float) -> Report:
        """As `drain(tx=…)`, on the calling thread, which the connection belongs to."""
        self._link.opened_now(_AWAIT_DRAIN)
        self._lend(tx).drain_now(timeout, _AWAIT_DRAIN)
        return self._report(raise_errors)

    async def advance(self, by: Length, *, raise_errors: bool = True, timeout: float = PATIENCE) -> Report:
        """Move the store's time by "1h", "1h30m", "7d", a timedelta or seconds, and run what becomes due, each at its time.

        Time stops at every instant at which something is due, until nothing is left that could run then; so follow-ups, retries
        and what they lead to happen in order. Raises as `drain`.
        """
        goal = self._clock.now() + length(by)
        return await self._play(until(goal, self._clock), raise_errors, timeout)

    def skip(self, by: Length) -> None:
        """Move the store's time and run nothing, as if no worker had been up: what became due meanwhile is late, or has expired."""
        self._clock.move_to(self._clock.now() + length(by))

    def crash_at(self, point: str, *, times: int = 1) -> None:
        """Let the worker of the next `drain` or `advance` crash when it reaches this point of `penstock.ports.signals.POINTS`.

        Its process ends for the store: the transaction under way is rolled back, what it held is rescued by the worker that takes
        over, and the drain goes on. Armed again, or with `times`, the one after that crashes, too. A crash that never came fails
        the test when the kit ends. Raises ConfigurationError for a point that does not exist.
        """
        self._stage.faults.arm(point, times)

    async def _run_what_can(self) -> None:
        """Inline: whatever was just put has run when this returns. In a handler, what runs it takes it along."""
        if not inside.get():
            await self.drain()

    async def _play(self, plan: Plan, raise_errors: bool, timeout: float) -> Report:
        if inside.get():
            raise ConfigurationError(_IN_A_HANDLER)
        return await self._link.run(lambda _: self._in_turn(plan, raise_errors, timeout))

    async def _in_turn(self, plan: Plan, raise_errors: bool, timeout: float) -> Report:
        async with self._turn:
            self._stage.recorder.take()  # of a drain that did not come to its end
            await play(self._stage, plan, timeout)
            return self._report(raise_errors)

    def _lend(self, tx: object) -> Lending:
        if inside.get():
            raise ConfigurationError(_IN_A_HANDLER)
        return Lending(self._stage, self.path, self._clock.store_clock(), tx)

    def _report(self, raise_errors: bool) -> Report:
        report = self._stage.recorder.take()
        failed = [run for run in report.runs if run.unexpected]
        if raise_errors and failed:
            raise HandlerRaised(report) from failed[0].error
        return report


class SyncKit(SyncLooking):
    """A `Kit` for tests without an event loop. Blocks the calling thread; on the thread of the app's loop it raises ConfigurationError."""

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self._kit = kit

    def drain(self, *, tx: object = None, raise_errors: bool = True, timeout: float = PATIENCE) -> Report:
        """As `Kit.drain`. With `tx`, `def` handlers run on the calling thread."""
        if tx is not None:
            return self._kit._drain_now(tx, raise_errors, timeout)
        return self._link.call(lambda _: self._kit.drain(raise_errors=raise_errors, timeout=timeout), _AWAIT_DRAIN)

    def advance(self, by: Length, *, raise_errors: bool = True, timeout: float = PATIENCE) -> Report:
        """As `Kit.advance`."""
        return self._link.call(lambda _: self._kit.advance(by, raise_errors=raise_errors, timeout=timeout), "await kit.advance(…)")
