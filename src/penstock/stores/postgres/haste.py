"""Taking before looking: for a message that comes to a worker with nothing to do, the look would be half of its way.

Who puts names the queues when it rings. If the last look found a queue calm, with nothing in it but what one statement takes, a claim
that comes after such a ring takes what was put behind the last place of then, and looks only if that was nothing; else the next claim
looks, at once. So whatever such a claim cannot see (a commit that came late with a low place, a retry, a suspect, what is due) waits for
one look more. Settings and limits are asked for by the statement itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from zlib import crc32

from msgspec import Struct

from penstock.model.clock import SECOND
from penstock.ports.queue import Claim

RANKS = range(10)
_STALE = 2 * SECOND
"""After it others may have taken too much behind that place: the dead rows are walked over."""


class _Calm(Struct, frozen=True):
    since: int
    """Place behind which nothing was."""
    at: int
    until: int | None
    """Then something is due."""
    tasks: frozenset[str]


class Haste:
    """Of one store's handle: which queues rang, at which rank, and which are calm."""

    def __init__(self) -> None:
        self._rung: set[str] = set()
        self._calm: dict[str, _Calm] = {}

    def hear(self, signs: Iterable[str]) -> None:
        self._rung.update(signs)

    def note(self, ask: Claim, queue: str, since: int, at: int, until: int | None) -> None:
        """A look found it calm."""
        self._calm[queue] = _Calm(since, at, until, ask.tasks)

    def forget(self, queue: str | None = None) -> None:
        """It is not calm, or nothing is known of any."""
        if queue is None:
            self._calm.clear()
        else:
            self._calm.pop(queue, None)

    def rung(self, ask: Claim) -> Iterator[tuple[str, int, int]]:
        """Queue, rank and room of what is worth trying; it has rung for the last time."""
        rung, self._rung = self._rung, set()
        if rung:
            for queue, room in ask.queues:
                if queue in self._calm:
                    yield from ((queue, rank, room) for rank in RANKS if sign(queue, rank) in rung)

    def since(self, ask: Claim, queue: str, now: int) -> int | None:
        """From where to take; None: look."""
        calm = self._calm.get(queue)
        if calm is None or calm.tasks != ask.tasks or now - calm.at >= _STALE or (calm.until is not None and calm.until <= now):
            return None
        return calm.since


def sign(queue: str, rank: int) -> str:
    """As bells say it: without spaces. Two names that are alike cost a trip in vain."""
    return f"{crc32(queue.encode()):x}.{rank}"
