"""What the writer is asked for, and how members of one group are merged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from msgspec import Struct

from penstock.model.delivery import Settlement
from penstock.model.message import Message
from penstock.model.outcome import Dead, Done
from penstock.model.statement import Program
from penstock.stores.sqlite.put import put
from penstock.stores.sqlite.settle import settle


class Put(Struct, frozen=True, gc=False):
    messages: Sequence[Message]

    durable = True
    rings = True
    point = "put"
    doing = "put messages"

    @property
    def weight(self) -> int:
        return len(self.messages)


class Settle(Struct, frozen=True, gc=False):
    owner: int
    settlements: Sequence[Settlement]

    point = "settle"
    doing = "settle deliveries"

    @property
    def weight(self) -> int:
        return len(self.settlements)

    @property
    def durable(self) -> bool:
        """A dead letter must not be lost; losing any other end means a redelivery."""
        return any(isinstance(each.outcome, Dead) for each in self.settlements)

    @property
    def rings(self) -> bool:
        return any(each.delivery.key is not None or not isinstance(each.outcome, Done) for each in self.settlements)


class Run(Struct, frozen=True):
    """Any other program. It is given the store's time."""

    make: Callable[[int], Program[Any]]
    doing: str
    durable: bool = True
    rings: bool = False
    point: str | None = None
    weight: int = 1


Operation: TypeAlias = Put | Settle | Run

Part: TypeAlias = tuple[list[int], Program[Sequence[Any]]]
"""The members it is for, and a program that returns a result for each."""


class Group:
    """Operations that share one transaction: sorted by kind in one pass, since a group may have thousands."""

    def __init__(self, members: Sequence[Operation]) -> None:
        self._members = members
        self._puts: list[int] = []
        self._settles: defaultdict[int, list[int]] = defaultdict(list)
        self._runs: list[int] = []
        for index, member in enumerate(members):
            kind = type(member)
            if kind is Put:
                self._puts.append(index)
            elif isinstance(member, Settle):
                self._settles[member.owner].append(index)
            else:
                self._runs.append(index)
        rest = [members[index] for index in (*self._runs, *(index for some in self._settles.values() for index in some))]
        self.durable = bool(self._puts) or any(member.durable for member in rest)
        self.rings = bool(self._puts) or any(member.rings for member in rest)
        self.points: set[str] = {member.point for member in rest if member.point is not None}
        if self._puts:
            self.points.add(Put.point)

    @property
    def doing(self) -> str:
        return self._members[0].doing

    def parts(self, now: int) -> Iterator[Part]:
        """Puts first, then settles, then the rest, so that a claim in the same group sees them."""
        if self._puts:
            yield self._puts, self._merged_put(now)
        for owner, indices in self._settles.items():
            yield indices, self._merged_settle(owner, indices, now)
        for index in self._runs:
            yield [index], self._single(index, now)

    def _merged_put(self, now: int) -> Program[Sequence[Any]]:
        parts = [member.messages for index in self._puts if isinstance(member := self._members[index], Put)]
        placed = yield from put([message for messages in parts for message in messages], now)
        if len(placed) == len(parts) and all(parts):  # one each: none is empty, none has two
            return [[one] for one in placed]
        results: list[Any] = []
        start = 0
        for messages in parts:
            results.append(placed[start : start + len(messages)])
            start += len(messages)
        return results

    def _merged_settle(self, owner: int, indices: Sequence[int], now: int) -> Program[Sequence[Any]]:
        parts = [member.settlements for index in indices if isinstance(member := self._members[index], Settle)]
        lost = set((yield from settle(owner, [each for part in parts for each in part], now)))
        return [[each.delivery.seq for each in part if each.delivery.seq in lost] if lost else [] for part in parts]

    def _single(self, index: int, now: int) -> Program[Sequence[Any]]:
        member = self._members[index]
        assert isinstance(member, Run)
        return [(yield from member.make(now))]
