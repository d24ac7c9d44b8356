"""Taking before looking: for a message that comes to a worker with nothing to do, the look would be half of its way.

Who puts names the queue and the rank when it rings. If the last look found that queue calm, with nothing in it but what one statement
takes, the first claim that comes after such a ring takes what was put behind the last place of then. Nothing is calm after it, so the
next one looks, and it comes within a millisecond: whatever a claim in haste cannot see (a commit that came late with a low place, a
retry, other queues, what is due) waits for one look more, as it would have behind what was taken. A suspect that is known comes first.
Settings and limits are asked for by the statement itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

from msgspec import Struct

from penstock.model.clock import SECOND
from penstock.ports.queue import Claim

RANKS = range(10)
_STALE = 2 * SECOND
"""After it others may have taken too much behind that place: the dead rows are walked over."""
_MANY = 200
"""Signs that are kept for a claim: a process that only puts makes none."""


class Spot(Struct, frozen=True):
    """Where to take in haste."""

    queue: str
    rank: int
    room: int
    since: int
    """The last place when nothing was there."""


class _Calm(Struct, frozen=True):
    since: int
    at: int
    until: int | None
    """Then something is due."""
    tasks: frozenset[str]


class Haste:
    """Of one store's handle: which queues rang, at which rank, and which are calm."""

    def __init__(self) -> None:
        self.turn = 0
        """Changes when what looks of before have found is not to be gone by."""
        self._rung: set[str] = set()
        self._calm: dict[str, _Calm] = {}
        self._suspects: set[str] = set()
        """Queues where one waits."""

    def hear(self, signs: Iterable[str]) -> None:
        self._rung.update(signs)
        if len(self._rung) > _MANY:
            self._rung.clear()

    def forget(self) -> None:
        """Nothing is calm any more."""
        self.turn += 1
        self._calm.clear()

    def note(self, queue: str, *, suspect: bool) -> None:
        """What a look has found: whether one waits."""
        (self._suspects.add if suspect else self._suspects.discard)(queue)
        self._calm.pop(queue, None)

    def note_calm(self, ask: Claim, queue: str, since: int, at: int, until: int | None) -> None:
        self._calm[queue] = _Calm(since, at, until, ask.tasks)

    def spot(self, ask: Claim, now: int) -> Spot | None:
        """The first that is worth it. Whatever rang has rung for the last time."""
        rung, self._rung = self._rung, set()
        if not rung or not self._suspects.isdisjoint([*ask.suspects, *(queue for queue, _ in ask.queues)]):
            return None
        for queue, room in ask.queues:
            calm = self._calm.get(queue)
            if calm is None or calm.tasks != ask.tasks or now - calm.at >= _STALE or (calm.until is not None and calm.until <= now):
                continue
            for rank in RANKS:
                if sign(queue, rank) in rung:
                    return Spot(queue, rank, room, calm.since)
        return None


def sign(queue: str, rank: int) -> str:
    """As bells say it: without spaces. Two names that are alike cost a trip in vain."""
    return f"{crc32(queue.encode()):x}.{rank}"
