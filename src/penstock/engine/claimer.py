"""Leases messages to this worker, as much as can start soon.

- It asks when there is room (`Runner.room`) and reason to: the store rang, the last claim left something, a delayed message is
  due, or a second has passed (bells may be lost).
- It does not ask while 10,000 ends wait to be written, or while the worker cannot beat.
- A crash after the claim's commit costs a lease: the messages are rescued, each with one death more.

Suspects. A message under which two workers died runs alone, so that the third death names it. Whenever this worker holds
nothing and everything is settled, it lets a claim bring a suspect, of any of its queues, also of those that the claim has no room
to ask for else; while one is held, nothing is claimed. If suspects wait while there is ordinary work, the worker takes turns: after
a turn of about a second it lets what it holds run dry, and takes one. The turn's length is random, so that not all workers run dry
at the same time. Then no slot is saved for queues with limits either. What a claim tells of suspects holds for the queues that it
asked: of the others stays what was known, and a turn goes on though suspects come and go.

Queues with limits. A claim says how many slots are free, and gets no more of them than that. If they would give more and no slot is
free, one is saved for them (`Runner.save_slot`), and a claim of its own fetches what starts there, another one first
each time. What their limits keep back is no reason to ask: the claim says when a rate lets the next one start, and the settle that
lets another one run rings.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence

from penstock.engine.rotation import Rotation
from penstock.engine.runner import Runner
from penstock.engine.service import Service
from penstock.engine.settler import FULL, Settler
from penstock.engine.ties import Ties
from penstock.model.clock import SECOND, Clock
from penstock.model.events import Claimed as ClaimedEvent
from penstock.ports.queue import Claim, Claimed, Queue

POLL = 1.0
TURN = 1.0
_SHORTEST = 0.001


class Claimer(Service):
    def __init__(self, queue: Queue, clock: Clock, tasks: Iterable[str], line: tuple[Rotation, Runner, Settler], ties: Ties) -> None:
        super().__init__("claimer", ties)
        self._queue = queue
        self._clock = clock
        self._tasks = frozenset(tasks)
        self._rotation, self._runner, self._settler = line
        self._time = asyncio.get_running_loop().time
        self._held_back = False
        self._news = True
        self._ask_at = 0.0
        self._alone = False
        self._suspects: frozenset[str] = frozenset()
        """Queues where some may wait."""
        self._turn_ends = 0.0
        self._starved: Sequence[str] = ()
        self._looks: list[asyncio.Future[bool]] = []
        self._seen: frozenset[str] = frozenset()
        """Queues that were asked since the last look began."""
        self._runner.hungry = self.nudge
        self._settler.settled = self.nudge

    def ring(self) -> None:
        """The store has news."""
        self._hear()
        self.wake()

    def nudge(self) -> None:
        """There is room, or everything is settled: worth a tick only if something is wanted."""
        if not self._woken and (self._news or self._suspects or self._alone or self._starved):
            self.wake()

    def hold_back(self, held_back: bool) -> None:
        """The worker cannot beat: what it claims would soon be another's."""
        self._held_back = held_back
        self.ring()

    async def look(self) -> bool:
        """Ask the store once more, from now on. True: there was something, or there is more."""
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._looks.append(answer)
        self._seen = frozenset()
        self.ring()
        return await answer

    async def stop(self) -> None:
        await super().stop()
        looks, self._looks = self._looks, []
        for answer in looks:
            if not answer.done():
                answer.set_result(False)

    async def tick(self) -> float:
        now = self._time()
        if now >= self._ask_at:
            self._hear()
            self._ask_at = now + POLL
        if self._alone and self._dry():
            self._end_solitude(now)
        if self._suspects_turn(now):
            self._runner.use_slot()
        if self._may_fetch(now):
            await self._fetch()
        elif self._may_ask(now):
            await self._ask(suspects=self._dry() and now >= self._turn_ends)
        now = self._time()
        return 0 if self._may_fetch(now) or self._may_ask(now) else self._rest_until(now)

    def _hear(self) -> None:
        self._news = True
        self._rotation.restart()

    def _may_ask(self, now: float) -> bool:
        if not self._ready():
            return False
        if self._dry():
            return self._news or self._suspects_turn(now)
        return self._news and not self._suspects_turn(now) and self._runner.room > 0

    def _may_fetch(self, now: float) -> bool:
        return bool(self._starved) and not self._suspects_turn(now) and self._ready() and self._runner.saved > 0

    def _suspects_turn(self, now: float) -> bool:
        return bool(self._suspects) and now >= self._turn_ends

    def _ready(self) -> bool:
        return not (self._held_back or self._alone or self._settler.unsettled >= FULL)

    def _dry(self) -> bool:
        return not self._runner.held and not self._settler.unsettled

    def _end_solitude(self, now: float) -> None:
        """The suspect has ended and is settled: now it is the others' turn, if there are any."""
        self._alone = False
        self._hear()
        self._turn_ends = now + self._turn()

    async def _ask(self, *, suspects: bool) -> None:
        """News that comes while the store is asked makes it be asked again."""
        runner = self._runner
        looks, self._looks, self._news = self._looks, [], False
        try:
            lone = self._rotation.order if suspects else ()
            claim = Claim(self._settler.owner, self._rotation.divide(runner.room), self._tasks, lone, runner.free, runner.batches)
            claimed = await self._queue.claim(claim)
        except BaseException:
            self._looks += looks
            self._news = True
            raise
        self._take(claimed, suspects)
        self._answer(looks, bool(claimed.runs) or claimed.more or bool(self._suspects))

    def _answer(self, looks: list[asyncio.Future[bool]], found: bool) -> None:
        """Nothing is known while there are queues that were not asked: there was no room to ask them all at once."""
        self._seen |= self._rotation.asked
        if looks and not found and not self._rotation.all <= self._seen:
            self._looks += looks
            self._news = True
            return
        for answer in looks:
            if not answer.done():
                answer.set_result(found)

    def _take(self, claimed: Claimed, asked_for_suspects: bool) -> None:
        now = self._time()
        self._ask_at = now + self._until(claimed.next_due)
        self._rotation.learn(claimed)
        self._note_suspects(claimed, asked_for_suspects, now)
        self._news |= self._rotation.unfinished
        if claimed.runs:
            self._runner.adapt(more=claimed.more)
        self._hand_on(claimed, first=False)

    async def _fetch(self) -> None:
        """What may only be claimed when it starts at once, now that a slot is saved for it."""
        slots = self._runner.saved
        self._starved = [*self._starved[1:], *self._starved[:1]]
        queues = [(queue, slots) for queue in self._starved]
        claim = Claim(self._settler.owner, queues, self._tasks, (), slots, self._runner.batches)
        claimed = await self._queue.claim(claim)
        now = self._time()
        self._ask_at = min(self._ask_at, now + self._until(claimed.next_due))
        self._news |= claimed.more
        self._note_waiting(claimed, frozenset(queue for queue, _ in queues), now)
        self._hand_on(claimed, first=True)

    def _hand_on(self, claimed: Claimed, *, first: bool) -> None:
        if claimed.runs:
            self.ties.signals.reach("claimed")
            self.ties.emit(ClaimedEvent(sum(map(len, claimed.runs))))
        if claimed.runs or first:
            self._runner.offer(claimed.runs, first=first)
        self._starved = claimed.starved if first else list(dict.fromkeys([*self._starved, *claimed.starved]))
        if self._starved:
            self._runner.save_slot()

    def _note_suspects(self, claimed: Claimed, asked_for_suspects: bool, now: float) -> None:
        if claimed.runs and claimed.runs[0][0].suspect:
            self._alone, self._suspects = True, self._rotation.all
        elif asked_for_suspects:
            self._note_the_rest(claimed, now)
        else:
            self._note_waiting(claimed, self._rotation.asked, now)
            if not (claimed.runs or claimed.starved or self._starved or self._rotation.unfinished):
                self._turn_ends = 0.0  # there is nothing else to do

    def _note_the_rest(self, claimed: Claimed, now: float) -> None:
        """No suspect came of any queue. What was set apart just now the next claim may bring, if this one brought nothing else."""
        self._suspects = frozenset()
        if claimed.runs or claimed.starved:
            self._note_waiting(claimed, self._rotation.asked, now)
        else:
            self._turn_ends = 0.0

    def _note_waiting(self, claimed: Claimed, asked: frozenset[str], now: float) -> None:
        waiting = self._suspects - asked | (asked if claimed.suspects else frozenset())
        if waiting and not self._suspects and now >= self._turn_ends:
            self._turn_ends = now + self._turn()
        self._suspects = waiting

    def _until(self, due: int | None) -> float:
        """Seconds."""
        return POLL if due is None else min(POLL, max(_SHORTEST, (due - self._clock.now()) / SECOND))

    def _rest_until(self, now: float) -> float:
        """Room and settles are told by a nudge; the rest is a matter of time."""
        turn = self._turn_ends if self._suspects and self._turn_ends > now else math.inf
        return max(_SHORTEST, min(self._ask_at, turn) - now)

    def _turn(self) -> float:
        return TURN * (0.5 + self.ties.random.random())
