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


def compile_group(members: Sequence[Operation], now: int) -> Iterator[Part]:
    """Puts first, then settles, then the rest, so that a claim in the same group sees them."""
    puts = [index for index, member in enumerate(members) if isinstance(member, Put)]
    if puts:
        yield puts, _merged_put([member for member in members if isinstance(member, Put)], now)
    owners: defaultdict[int, list[int]] = defaultdict(list)
    for index, member in enumerate(members):
        if isinstance(member, Settle):
            owners[member.owner].append(index)
    for owner, indices in owners.items():
        yield indices, _merged_settle(owner, [members[index] for index in indices], now)
    for index, member in enumerate(members):
        if isinstance(member, Run):
            yield [index], _single(member, now)


def _merged_put(members: Sequence[Put], now: int) -> Program[Sequence[Any]]:
    placed = yield from put([message for member in members for message in member.messages], now)
    results: list[Any] = []
    start = 0
    for member in members:
        results.append(placed[start : start + len(member.messages)])
        start += len(member.messages)
    return results


def _merged_settle(owner: int, members: Sequence[Operation], now: int) -> Program[Sequence[Any]]:
    settles = [member for member in members if isinstance(member, Settle)]
    lost = set((yield from settle(owner, [each for member in settles for each in member.settlements], now)))
    return [[each.delivery.seq for each in member.settlements if each.delivery.seq in lost] for member in settles]


def _single(member: Run, now: int) -> Program[Sequence[Any]]:
    return [(yield from member.make(now))]
