"""How a claim is divided among queues."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock.model.delivery import Delivery


class Rotation:
    """By weight among the queues that had work last time; each other one is asked for one message, so that it is noticed.

    The order moves on by one each time, so that nobody is always first.
    """

    def __init__(self, queues: Sequence[tuple[str, int]]) -> None:
        self._queues = list(queues)
        self._busy = {queue for queue, _ in queues}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(queue for queue, _ in self._queues)

    def divide(self, room: int) -> list[tuple[str, int]]:
        if len(self._queues) == 1:
            return [(self._queues[0][0], room)]
        self._queues.append(self._queues.pop(0))
        total = sum(weight for queue, weight in self._queues if queue in self._busy)
        return [(queue, max(1, room * weight // total) if queue in self._busy else 1) for queue, weight in self._queues]

    def learn(self, runs: Iterable[Sequence[Delivery]]) -> None:
        """What a claim brought. From nothing follows nothing: all are asked alike again."""
        if len(self._queues) > 1:
            self._busy = {run[0].queue for run in runs} or {queue for queue, _ in self._queues}
