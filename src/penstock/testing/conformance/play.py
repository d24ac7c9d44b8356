"""A random play of workers that fail, die and come back, against an oracle that knows the order of each key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from random import Random

from penstock.model.delivery import Delivery
from penstock.model.outcome import Dead, Done
from penstock.testing.conformance.ground import Ground
from penstock.testing.conformance.worker import Worker

KEYS = ("a", "b", "c", None)
_ENOUGH = 2_000


class Play:
    """The oracle keeps, for each key, what has not ended yet, in the order in which it was put."""

    def __init__(self, ground: Ground, chance: Random) -> None:
        self._ground = ground
        self._chance = chance
        self._open: defaultdict[str, list[str]] = defaultdict(list)
        self._loose: set[str] = set()
        self._runs: dict[Worker, list[list[Delivery]]] = {}
        self._rescuer: Worker

    async def begin(self, messages: int) -> None:
        self._rescuer = await self._ground.worker()
        for _ in range(3):
            self._runs[await self._ground.worker()] = []
        for n in range(messages):
            key = self._chance.choice(KEYS)
            name = f"{key}{n:03}"
            if key is None:
                self._loose.add(name)
            else:
                self._open[key].append(name)
            await self._ground.put(name, key=key, priority=self._chance.randrange(10))

    async def step(self) -> None:
        """One of the workers does one thing."""
        worker = self._chance.choice(sorted(self._runs, key=lambda each: each.incarnation))
        what = self._chance.random()
        if what < 0.35:
            await self._claim(worker)
        elif what < 0.85:
            await self._settle(worker)
        elif what < 0.90:
            await self._cancel()
        elif what < 0.93:
            await self._die(worker)
        else:
            self._ground.advance(self._chance.uniform(0, 5))

    async def finish(self) -> None:
        """Until everything has ended: nothing may be stuck."""
        for _ in range(_ENOUGH):
            if not self._loose and not any(self._open.values()):
                return
            await self.step()
        raise AssertionError(f"never ended: {sorted(self._loose)} {dict(self._open)}")

    async def _claim(self, worker: Worker) -> None:
        alone = not self._runs[worker]
        if any(run[0].suspect for run in self._runs[worker]):
            return
        claimed = await worker.ask(self._chance.randint(1, 6), suspects=alone)
        for run in claimed.runs:
            self._check(run, alone)
            self._runs[worker].append(list(run))

    def _check(self, run: Sequence[Delivery], alone: bool) -> None:
        names = [delivery.job_id for delivery in run]
        assert not any(delivery.suspect for delivery in run) or (alone and len(run) == 1), "a suspect did not come alone"
        if run[0].key is None:
            assert self._loose.issuperset(names), f"{names} had ended"
            return
        expected = self._open[run[0].key][: len(run)]
        assert names == expected, f"key {run[0].key}: {names} came, {expected} were next"
        running = [each[0].key for runs in self._runs.values() for each in runs]
        assert run[0].key not in running, f"key {run[0].key} runs twice"

    async def _settle(self, worker: Worker) -> None:
        if not self._runs[worker]:
            return
        run = self._chance.choice(self._runs[worker])
        what = self._chance.random()
        if what < 0.6:
            await worker.end(run[0], Done() if what < 0.55 else Dead("rejected"))
            self._ended(run.pop(0))
        elif what < 0.8:
            wait = self._chance.choice((0, 0, 1, 20))
            await worker.end_run(run, self._ground.failed(wait) if what < 0.7 else self._ground.snoozed(wait))
            await self._stopped(run)
        else:
            await worker.release(run)
            await self._stopped(run)
        if not run:
            self._runs[worker].remove(run)

    async def _stopped(self, run: list[Delivery]) -> None:
        """Given back. Not all of them: cancelled on request, or dead with their third worker."""
        for delivery in run:
            if await self._ground.status(delivery.job_id) in ("cancelled", "dead"):
                self._forget(delivery.job_id)
        run.clear()

    async def _cancel(self) -> None:
        names = sorted(self._loose.union(*self._open.values()))
        if names and await self._ground.queue.cancel(name := self._chance.choice(names)) == "cancelled":
            self._forget(name)

    async def _die(self, worker: Worker) -> None:
        await self._ground.rescue(worker, by=self._rescuer)
        for run in self._runs.pop(worker):
            await self._stopped(run)
        self._runs[await self._ground.worker(store=worker.store)] = []

    def _ended(self, delivery: Delivery) -> None:
        if delivery.key is not None:
            first = self._open[delivery.key][0]
            assert first == delivery.job_id, f"{delivery.job_id} ended before {first}"
        self._forget(delivery.job_id)

    def _forget(self, name: str) -> None:
        self._loose.discard(name)
        for names in self._open.values():
            if name in names:
                names.remove(name)
