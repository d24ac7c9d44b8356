"""A store that does as it is told: claims give what was put, settles and all else are recorded, and any call can be made to fail.

Only for the engine's own logic. What a store must do is tested on stores.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Any

import msgspec

from penstock.engine.program import Program, WorkerOptions
from penstock.engine.ties import Ties
from penstock.engine.worker import Worker
from penstock.errors import ConfigurationError
from penstock.model.delivery import Delivery, Settlement
from penstock.model.events import Event
from penstock.model.log import Fed
from penstock.model.message import Options
from penstock.model.outcome import Outcome
from penstock.model.retry import Retry
from penstock.observe.signals import Signals
from penstock.ports.follow import Report
from penstock.ports.handler import Batch
from penstock.ports.inspect import QueueRules
from penstock.ports.leases import Enrolment, Rescued, Seen
from penstock.ports.queue import Claim, Claimed
from tests.unit.engine.scripted_schedules import ScriptedSchedules

NOW = 1_000_000_000


class Watch:
    """Lets a test wait until something is so. Whoever changes something calls `tell`."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def tell(self) -> None:
        self._changed.set()

    async def until(self, so: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not so():
                self._changed.clear()
                await self._changed.wait()


class Clock:
    def now(self) -> int:
        return NOW


class Recorder(Signals):
    """Signals that remember; `watch` is told of each."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.points: list[str] = []
        self._watch = watch
        self.listen(self._keep)

    def of(self, *kinds: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]

    def reach(self, point: str) -> None:
        self.points.append(point)
        self._watch.tell()

    def _keep(self, event: Event) -> None:
        self.events.append(event)
        self._watch.tell()


class ScriptedQueue:
    def __init__(self, watch: Watch) -> None:
        self.ready: deque[Sequence[Delivery]] = deque()
        self.suspects: deque[Delivery] = deque()
        self.limited: frozenset[str] = frozenset()
        """Queues that give only what starts at once."""
        self.crowds = 0
        """Claims that meet only what cannot run, before anything comes."""
        self.claims: list[Claim] = []
        self.claim_errors: deque[Exception] = deque()
        self.settled: list[Settlement] = []
        self.owners: list[int] = []
        self.settle_errors: deque[Exception] = deque()
        self.refused: Callable[[Settlement], Exception | None] = lambda settlement: None
        self.gate: asyncio.Event | None = None
        self.requests: list[int] = []
        self.asked_for_requests = False
        self.expired: deque[int] = deque()
        self.pruned: deque[int] = deque()
        self._watch = watch

    async def claim(self, claim: Claim) -> Claimed:
        self.claims.append(claim)
        self._watch.tell()
        await asyncio.sleep(0)
        if self.claim_errors:
            raise self.claim_errors.popleft()
        if self.crowds:
            self.crowds -= 1
            return Claimed([], more=True, next_due=None, suspects=False)
        for suspect in [each for each in self.suspects if each.queue in claim.suspects]:
            self.suspects.remove(suspect)
            return Claimed([[suspect]], more=True, next_due=None, suspects=True)
        rooms: dict[str, float] = dict(claim.queues)
        runs, left = [], deque[Sequence[Delivery]]()
        slots = claim.slots
        order = list(rooms)
        for run in sorted(self.ready, key=lambda run: order.index(run[0].queue) if run[0].queue in rooms else 0):
            part = len(run) / claim.batches.get(run[0].task, 1)
            room = rooms.get(run[0].queue, 0)
            if run[0].queue in self.limited:
                room = min(room, slots)
            if room > 1e-9:
                rooms[run[0].queue] -= part
                slots -= part
                runs.append(run)
            else:
                left.append(run)
        self.ready = left
        starved = {run[0].queue for run in left} & self.limited
        more = any(run[0].queue in rooms and run[0].queue not in self.limited for run in left)
        waits = any(suspect.queue in rooms for suspect in self.suspects)
        return Claimed(runs, more, None, waits, [queue for queue in order if queue in starved])

    async def settle(self, owner: int, settlements: Sequence[Settlement]) -> list[int]:
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(0)
        if self.settle_errors:
            raise self.settle_errors.popleft()
        for settlement in settlements:
            if (error := self.refused(settlement)) is not None:
                raise error
        self.settled += settlements
        self.owners += [owner] * len(settlements)
        self._watch.tell()
        return []

    async def cancellations(self, owner: int) -> list[int]:
        self.asked_for_requests |= bool(self.requests)
        self._watch.tell()
        return list(self.requests)

    async def expire(self, limit: int) -> int:
        self._watch.tell()
        return self.expired.popleft() if self.expired else 0

    async def prune(self, limit: int, *, age: int, keep: int) -> int:
        return self.pruned.popleft() if self.pruned else 0

    def outcomes(self) -> dict[int, Outcome]:
        return {settlement.delivery.seq: settlement.outcome for settlement in self.settled}


class ScriptedLeases:
    def __init__(self, watch: Watch) -> None:
        self.enrolled: list[Enrolment] = []
        self.enrol_errors: deque[Exception] = deque()
        self.left: list[int] = []
        self.seen: list[Seen] = []
        self.rescued: list[tuple[int, int]] = []
        self.rescue_gives: Callable[[int], Rescued | None] = lambda incarnation: Rescued(incarnation, 1, 0)
        self.alive: Callable[[int], bool] = lambda incarnation: True
        self.leads: Callable[[], bool] = lambda: True
        self.astray: list[str] = []
        self.searched = 0
        self._watch = watch

    async def enrol(self, worker: Enrolment) -> None:
        if self.enrol_errors:
            raise self.enrol_errors.popleft()
        self.enrolled.append(worker)
        self._watch.tell()

    def beat_now(self, incarnation: int, blocked: str = "") -> bool:
        return self.alive(incarnation)

    async def others(self, incarnation: int) -> list[Seen]:
        return list(self.seen)

    async def rescue(self, incarnation: int, beat: int) -> Rescued | None:
        self.rescued.append((incarnation, beat))
        self._watch.tell()
        return self.rescue_gives(incarnation)

    async def leave(self, incarnation: int) -> None:
        self.left.append(incarnation)

    async def lead(self, role: str, incarnation: int, lease: int) -> bool:
        return self.leads()

    async def elsewhere(self, incarnation: int) -> list[str]:
        self.searched += 1
        return self.astray


class ScriptedFollow:
    def __init__(self, watch: Watch) -> None:
        self.writes: list[tuple[int, Sequence[Report]]] = []
        self.errors: deque[Exception] = deque()
        self._watch = watch

    async def tell(self, owner: int, reports: Sequence[Report]) -> None:
        if self.errors:
            raise self.errors.popleft()
        self.writes.append((owner, reports))
        self._watch.tell()


class ScriptedSettings:
    def __init__(self) -> None:
        self.stopped: frozenset[str] = frozenset()
        self.limits: frozenset[str] = frozenset()

    async def rules(self) -> QueueRules:
        return QueueRules(self.stopped, self.limits)


class ScriptedTransaction:
    def __init__(self, store: ScriptedStore) -> None:
        self.store = store
        self.committed: tuple[int, Sequence[Settlement]] | None = None
        self.rolled_back = False
        self.refused = False

    async def commit(self, settle: tuple[int, Sequence[Settlement]] | None = None, *, alone: bool = False) -> None:
        if self.store.commit_gate is not None:
            self.store.watch.tell()
            self.store.committing += 1
            await self.store.commit_gate.wait()
        if self.store.commit_errors:
            raise self.store.commit_errors.popleft()
        self.committed = settle
        self.store.watch.tell()

    async def rollback(self) -> None:
        self.rolled_back = True
        if self.store.rollback_errors:
            raise self.store.rollback_errors.popleft()


class ScriptedLog:
    """What is to be fed, by subscription."""

    def __init__(self, watch: Watch) -> None:
        self.declared: list[tuple[Any, Any]] = []
        self.unfed: dict[str, list[Fed]] = {}
        self.errors: deque[Exception] = deque()
        self.trims = 0
        self.asked: list[str] = []
        self._watch = watch

    async def declare(self, subscriptions: Any, topics: Any = ()) -> None:
        self.declared.append((subscriptions, topics))

    async def feed(self, subscription: str, limit: int) -> Fed:
        self.asked.append(subscription)
        self._watch.tell()
        if self.errors:
            raise self.errors.popleft()
        waiting = self.unfed.get(subscription)
        return waiting.pop(0) if waiting else Fed(0, more=False)

    async def trim(self, limit: int) -> int:
        self.trims += 1
        return 0


class ScriptedStore:
    def __init__(self) -> None:
        self.watch = Watch()
        self.clock = Clock()
        self.queue = ScriptedQueue(self.watch)
        self.leases = ScriptedLeases(self.watch)
        self.log = ScriptedLog(self.watch)
        self.settings = ScriptedSettings()
        self.schedules = ScriptedSchedules(self.watch.tell)
        self.follow = ScriptedFollow(self.watch)
        self.transactions: list[ScriptedTransaction] = []
        self.commit_errors: deque[Exception] = deque()
        self.rollback_errors: deque[Exception] = deque()
        self.commit_gate: asyncio.Event | None = None
        self.refuses_threads = False
        self.committing = 0
        self._wakes: list[Callable[[], None]] = []
        self._seqs = itertools.count(1)

    def transaction(self, *, shared: bool = False, blocking: bool = False) -> ScriptedTransaction:
        self.transactions.append(ScriptedTransaction(self))
        return self.transactions[-1]

    async def check_transactions(self, *, blocking: bool) -> None:
        if blocking and self.refuses_threads:
            raise ConfigurationError("no transactions on threads")

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake) if wake in self._wakes else None

    def ring(self) -> None:
        for wake in list(self._wakes):
            wake()

    def delivery(self, task: str = "task", **facts: Any) -> Delivery:
        seq = next(self._seqs)
        facts = {"queue": "q", "attempt": 1, "body": b"", **facts}
        options = facts.pop("options", None)
        if isinstance(options, Options):
            facts["options"] = msgspec.json.encode(options)
        return Delivery(seq=seq, job_id=f"job-{seq}", task=task, **facts)

    def put(self, task: str = "task", **facts: Any) -> Delivery:
        """One message, ready at once."""
        return self.put_run(self.delivery(task, **facts))[0]

    def put_run(self, *run: Delivery) -> Sequence[Delivery]:
        self.queue.ready.append(run)
        self.ring()
        return run


class Task:
    """A `Route`. What it is given is the function that it calls, without arguments unless it is not bare."""

    def __init__(self, function: Callable[..., Any], **facts: Any) -> None:
        self.name = "task"
        self.aliases: tuple[str, ...] = ()
        self.queue = "q"
        self.isolation = "loop"
        self.asynchronous = True
        self.memory: int | None = None
        self.retry = Retry()
        self.timeout: float | None = None
        self.transactional = False
        self.batch: Batch | None = None
        self.hook = False
        self.bare = True
        self.injected: Mapping[str, object] = {}
        self._function = function
        for name, value in facts.items():
            assert name in vars(self)
            vars(self)[name] = value

    def decode(self, delivery: Delivery) -> Any:
        if delivery.body == b"undecodable":
            raise ValueError("not what it expects")
        return delivery.body

    async def inject(self) -> Mapping[str, object]:
        return self.injected

    def call(self, arguments: Any, scope: Any, injected: Mapping[str, object]) -> Any:
        return self._function() if self.bare else self._function(scope, injected)

    def encode(self, value: object) -> bytes | None:
        if isinstance(value, bytes):
            return value
        raise TypeError(f"cannot encode {type(value).__name__}")


class Bench:
    """A worker on a scripted store."""

    def __init__(
        self,
        *tasks: Task,
        stages: Any = (),
        on_error: Any = (),
        state: object = None,
        reads: Any = ((), ()),
        schedules: Any = (),
        limits: Any = (),
        **options: Any,
    ) -> None:
        """`reads`: its subscriptions, and the topics that it knows."""
        self.store = ScriptedStore()
        self.watch = self.store.watch
        self.queue = self.store.queue
        self.signals = Recorder(self.watch)
        routes: Any = {name: task for task in tasks for name in (task.name, *task.aliases)}
        program = Program(routes, stages, on_error, state, *reads, schedules=schedules, limits=limits)
        store: Any = self.store
        self.worker = Worker(store, program, WorkerOptions(**options), self.signals, Random(7))

    async def __aenter__(self) -> Bench:
        await self.worker.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.worker.stop(now=True)

    async def outcome(self, delivery: Delivery) -> Outcome:
        await self.watch.until(lambda: delivery.seq in self.queue.outcomes())
        return self.queue.outcomes()[delivery.seq]

    async def run(self, task: str = "task", **facts: Any) -> Outcome:
        return await self.outcome(self.store.put(task, **facts))


def ties(signals: Signals, lost: Callable[[], None] = lambda: None) -> Ties:
    return Ties(signals, Random(7), lost)


async def soon(*waits: Awaitable[object]) -> None:
    async with asyncio.timeout(10):
        for wait in waits:
            await wait
