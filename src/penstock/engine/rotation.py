"""How a claim is divided among queues."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from penstock.ports.queue import Claimed

_PROBES = 4
"""One part in four of a claim looks into queues that had nothing last time."""


class Rotation:
    """By weight among the queues that had work last time; others are asked for one message each, so that work there is noticed.

    Never for more than there is room for. If that is too little to ask all, the others come first the next time, and
    `unfinished` says that nothing is known of them yet.
    """

    def __init__(self, queues: Sequence[tuple[str, int]]) -> None:
        self._own = tuple(queues)
        self._queues = deque(queues)
        self.all = frozenset(queue for queue, _ in queues)
        self._busy = self.all
        self.asked: frozenset[str] = frozenset()
        self._empty: frozenset[str] = frozenset()

    @property
    def order(self) -> tuple[str, ...]:
        """All of them; another one first the next time."""
        return tuple(queue for queue, _ in self._queues)

    @property
    def unfinished(self) -> bool:
        """Some queue was not asked, or not emptied, since the last news."""
        return self._empty != self.all

    def restart(self) -> None:
        """There is news, nobody knows where."""
        self._empty = frozenset()

    def adopt(self, others: Sequence[str]) -> bool:
        """Besides its own, take these from now on, and no others. True: some are new."""
        wanted = dict([(queue, 1) for queue in others] + list(self._own))
        new = wanted.keys() - self.all
        if wanted.keys() != self.all:
            self.all = frozenset(wanted)
            self._queues = deque(wanted.items())
            self._busy = (self._busy | new) & self.all or self.all
            self._empty &= self.all
        return bool(new)

    def divide(self, room: int) -> list[tuple[str, int]]:
        if len(self._queues) == 1:
            shares = [(self._queues[0][0], room)]
        elif room < len(self._queues) or room < _PROBES:
            shares = [(queue, 1) for queue, _ in list(self._queues)[:room]]
            self._queues.rotate(-len(shares))
        else:
            shares = self._probe_and_share(room)
            self._queues.rotate(-1)
        self.asked = frozenset(queue for queue, _ in shares)
        return shares

    def learn(self, claimed: Claimed) -> None:
        """What the claim brought. From nothing follows nothing: all are asked alike again."""
        if len(self.all) > 1:
            self._busy = frozenset(run[0].queue for run in claimed.runs) & self.all or self.all
        if claimed.more:
            self._empty -= self.asked
        else:
            self._empty |= self.asked & self.all

    def _probe_and_share(self, room: int) -> list[tuple[str, int]]:
        probes = [(queue, 1) for queue, _ in self._queues if queue not in self._busy][: room // _PROBES]
        left = room - len(probes)
        busy = [(queue, weight) for queue, weight in self._queues if queue in self._busy]
        total = sum(weight for _, weight in busy)
        shares = [(queue, max(1, left * weight // total)) for queue, weight in busy]
        return [*shares[:left], *probes]
