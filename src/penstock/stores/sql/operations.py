"""What the writer is asked for, and how members of one group are merged."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence, Set
from typing import Any, TypeAlias

from msgspec import Struct

from penstock.model import log
from penstock.model.chain import brings_work
from penstock.model.delivery import Settlement
from penstock.model.message import Message, Placed
from penstock.model.outcome import Dead, Done
from penstock.model.statement import Program, Row
from penstock.stores.sql.appending import is_heard
from penstock.stores.sql.dialect import Dialect
from penstock.stores.sql.placing import ranks

CLAIMS = "claim"
"""What a claim does."""


class Put(Struct, frozen=True, gc=False):
    messages: Sequence[Message]

    lane = "put"
    durable = True
    rings = True
    point = "put"
    doing = "put messages"

    @property
    def weight(self) -> int:
        return len(self.messages)


class Publish(Struct, frozen=True, gc=False):
    topic: log.TopicSpec
    events: Sequence[log.Event]

    durable = True
    rings = True
    point = "publish"

    @property
    def lane(self) -> Hashable:
        return (Publish, self.topic.name)

    @property
    def doing(self) -> str:
        return f"publish to {self.topic.name}"

    @property
    def weight(self) -> int:
        return len(self.events)


class Append(Struct, frozen=True, gc=False):
    append: log.Append

    durable = True
    rings = False
    """Its result says whether it does: `is_heard`."""
    point = "append"

    @property
    def lane(self) -> Hashable:
        return (Append, self.append.topic.name)

    @property
    def doing(self) -> str:
        return f"append to {self.append.topic.name}"

    @property
    def weight(self) -> int:
        return len(self.append.events)


class Settle(Struct, frozen=True, gc=False):
    owner: int
    settlements: Sequence[Settlement]

    point = "settle"
    doing = "settle deliveries"

    @property
    def lane(self) -> Hashable:
        return (Settle, self.owner)

    @property
    def weight(self) -> int:
        return len(self.settlements)

    @property
    def durable(self) -> bool:
        """A dead letter must not be lost; losing any other end means a redelivery."""
        return any(isinstance(each.outcome, Dead) for each in self.settlements)

    @property
    def rings(self) -> bool:
        """A key or a slot is freed, a retry is due, a successor comes."""
        return any(brings_work(each.delivery) or not isinstance(each.outcome, Done) for each in self.settlements)


class Run(Struct, frozen=True):
    """Any other program. It is given the store's time."""

    make: Callable[[int], Program[Any]]
    doing: str
    durable: bool = True
    rings: bool | Callable[[Any], bool] = False
    """Or whether it does, given its result."""
    point: str | None = None
    ranks: Set[tuple[str, int]] = frozenset()
    """Queues and ranks to which it brings messages that may start at once, if it rings."""
    weight: int = 1
    rehearses: bool = False
    """Its first statement only reads: it may be run once more before, outside of the transaction, to warm up."""

    @property
    def lane(self) -> Hashable:
        return id(self)


Operation: TypeAlias = Put | Publish | Append | Settle | Run

Part: TypeAlias = tuple[list[int], Program[Sequence[Any]]]
"""The members it is for, and a program that returns a result for each."""

_ALIKE = (Put, Publish, Append)
"""Whatever one of them needs of the commit, all need."""
_READ_ON = (Publish, Append)
"""Who sees these keeps positions: they are not to be seen before they are durable."""
_ORDER = (Put, Publish, Append, Settle, Run)
"""So that a claim in the same group sees what was put."""
_FEW = 16
"""Messages that are committed before those whom they woke have come to the lock, or soon after."""


class Group:
    """Operations that share one transaction: sorted into lanes in one pass, since a group may have thousands."""

    def __init__(self, members: Sequence[Operation], dialect: Dialect) -> None:
        self._dialect = dialect
        self._members = members
        self._lanes = _lanes(members)
        told = [members[index] for lane in self._lanes for index in (lane[:1] if isinstance(members[lane[0]], _ALIKE) else lane)]
        self.durable = self.exposed = self.rings = False
        """`rings` is complete when all parts have run."""
        self.points: set[str] = set()
        for member in told:
            self.durable |= member.durable
            self.exposed |= isinstance(member, _READ_ON)
            self.rings |= member.rings is True
            if member.point is not None:
                self.points.add(member.point)
        self.heard: list[Row] = []
        """(job, bell): who waits for what this group ends. Complete when all parts have run."""

    @property
    def doing(self) -> str:
        return self._members[0].doing

    @property
    def ranks(self) -> Set[tuple[str, int]]:
        """Queues and ranks to which it brings messages that may start at once."""
        put = ranks(message for member in self._members if isinstance(member, Put) for message in member.messages)
        return put.union(*(member.ranks for member in self._members if isinstance(member, Run)))

    @property
    def rings_early(self) -> bool:
        """It can ring before it is committed: only who claims, with the lock, has use of it. Others look without, and too early."""
        first = self._members[0]
        return len(self._members) == 1 and isinstance(first, Put) and first.weight <= _FEW

    @property
    def rehearses(self) -> bool:
        return any(isinstance(member, Run) and member.rehearses for member in self._members)

    def rehearsals(self, now: int) -> Iterator[Program[None]]:
        for member in self._members:
            if isinstance(member, Run) and member.rehearses:
                yield _beginning(member.make(now))

    def parts(self, now: int) -> Iterator[Part]:
        for lane in self._lanes:
            members = [self._members[index] for index in lane]
            yield lane, self._part(members, now)

    def _part(self, members: Sequence[Any], now: int) -> Program[Sequence[Any]]:
        match members[0]:
            case Run():
                return self._run(members[0], now)
            case Append():
                return self._append(members, now)
            case Put():
                return _put(members, now, self._dialect)
            case Publish():
                return _publish(members, now, self._dialect)
            case _:
                return _settle(members, now, self._dialect, self.heard)

    def _run(self, member: Run, now: int) -> Program[Sequence[Any]]:
        result = yield from member.make(now)
        if not isinstance(member.rings, bool):
            self.rings |= member.rings(result)
        return [result]

    def _append(self, members: Sequence[Append], now: int) -> Program[Sequence[Any]]:
        results = yield from self._dialect.append(members[0].append.topic, [member.append for member in members], now)
        self.rings |= any(map(is_heard, results))
        return results


def _beginning(program: Program[Any]) -> Program[None]:
    yield next(program)
    program.close()


def _lanes(members: Sequence[Operation]) -> Sequence[list[int]]:
    if len(members) == 1:
        return [[0]]
    lanes: dict[Hashable, list[int]] = {}
    for index, member in enumerate(members):
        lanes.setdefault(member.lane, []).append(index)
    return sorted(lanes.values(), key=lambda lane: _place(members[lane[0]]))


def _place(member: Operation) -> tuple[int, str]:
    """Topics in the order of their names, so that two groups do not wait for each other in a circle."""
    match member:
        case Publish():
            name = member.topic.name
        case Append():
            name = member.append.topic.name
        case _:
            name = ""
    return _ORDER.index(type(member)), name


def _put(members: Sequence[Put], now: int, dialect: Dialect) -> Program[Sequence[Any]]:
    parts = [member.messages for member in members]
    return _shared((yield from dialect.put([message for messages in parts for message in messages], now)), parts)


def _publish(members: Sequence[Publish], now: int, dialect: Dialect) -> Program[Sequence[Any]]:
    parts = [member.events for member in members]
    return _shared((yield from dialect.publish(members[0].topic, [event for events in parts for event in events], now)), parts)


def _settle(members: Sequence[Settle], now: int, dialect: Dialect, heard: list[Row]) -> Program[Sequence[Any]]:
    parts = [member.settlements for member in members]
    every = [each for part in parts for each in part]
    settled = yield from dialect.settle(members[0].owner, every, now)
    heard += settled.heard
    lost = set(settled.lost)
    return [[each.delivery.seq for each in part if each.delivery.seq in lost] if lost else [] for part in parts]


def _shared(placed: Sequence[Placed], parts: Sequence[Sequence[object]]) -> Sequence[Any]:
    """What was placed, to each member its own."""
    if len(placed) == len(parts) and all(parts):  # one each: none is empty, none has two
        return [[one] for one in placed]
    results: list[Any] = []
    start = 0
    for part in parts:
        results.append(placed[start : start + len(part)])
        start += len(part)
    return results
