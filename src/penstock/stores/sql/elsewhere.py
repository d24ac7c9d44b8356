"""Finding jobs of a worker's tasks in queues that are not its own: a release moved the task to another queue.

- Where another live worker serves the queue, its claims put aside what it does not know, under the task's name: an index says so.
- Where nobody does, nothing is put aside, and the queue itself is looked into: some rows of some queues each time, on from where
  the last look ended. So a look costs the same whatever waits, and sooner or later finds what stands behind a crowd.
- What was found once is taken as long as the queue holds something and nobody serves it: claims put the rest aside.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock.model.statement import Program, Statement
from penstock.ports.leases import Enrolment

_ROWS = 500
_QUEUES = 10
_BEGINNING = (-1, -1)


class Search:
    """One worker's: it remembers where it has looked."""

    def __init__(self, worker: Enrolment) -> None:
        self._incarnation = worker.incarnation
        self._tasks = frozenset(worker.tasks)
        self._found: set[str] = set()
        self._last = ""
        self._places: dict[tuple[str, str], tuple[int, int]] = {}

    def look(self) -> Program[list[str]]:
        aside = {row[0] for row in (yield Statement("queues_set_aside", {"incarnation": self._incarnation}))}
        unserved = [row[0] for row in (yield Statement("queues_unserved"))]
        self._forget_all_but(unserved)
        for queue in self._turn([queue for queue in unserved if queue not in self._found]):
            if (yield from self._glance(queue, "glance_ready")) or (yield from self._glance(queue, "glance_later")):
                self._found.add(queue)
        return sorted(aside | self._found)

    def _forget_all_but(self, unserved: Sequence[str]) -> None:
        there = set(unserved)
        self._found &= there
        self._places = {(queue, where): place for (queue, where), place in self._places.items() if queue in there}

    def _turn(self, queues: Sequence[str]) -> Sequence[str]:
        """All, if they are few; else those that come after the last ones, and from the beginning after the end."""
        if len(queues) <= _QUEUES:
            return queues
        turn = ([queue for queue in queues if queue > self._last] or queues)[:_QUEUES]
        self._last = turn[-1]
        return turn

    def _glance(self, queue: str, where: str) -> Program[bool]:
        first, second = self._places.get((queue, where), _BEGINNING)
        rows = yield Statement(where, {"queue": queue, "first": first, "second": second, "limit": _ROWS})
        self._places[queue, where] = (rows[-1][0], rows[-1][1]) if len(rows) == _ROWS else _BEGINNING
        return any(task in self._tasks for _, _, task in rows)
