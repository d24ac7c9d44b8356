"""The verbs of `ports.transaction`, over whatever runs a program: only that differs between databases."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from penstock.errors import LeaseLost
from penstock.model.delivery import Settlement
from penstock.model.log import Append, Event, TopicSpec
from penstock.model.message import Message, Placed
from penstock.model.statement import Program
from penstock.stores.sql.appending import agreed
from penstock.stores.sql.dialect import Dialect, Settled
from penstock.stores.sql.kept import Kept
from penstock.stores.sql.topics import plain, versioned

T = TypeVar("T")

_PUT, _PUBLISH, _APPEND = (f"{what} in your transaction" for what in ("put messages", "publish", "append"))


class JoinedVerbs:
    """Each is written at once, on a connection of the user's."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    @abstractmethod
    async def _write(self, make: Callable[[int], Program[T]], doing: str) -> T: ...

    @abstractmethod
    def _write_now(self, make: Callable[[int], Program[T]], doing: str) -> T: ...

    async def put(self, messages: Sequence[Message]) -> list[Placed]:
        return await self._write(lambda now: self._dialect.put(messages, now), _PUT)

    def put_now(self, messages: Sequence[Message]) -> list[Placed]:
        return self._write_now(lambda now: self._dialect.put(messages, now), _PUT)

    async def publish(self, topic: TopicSpec, events: Sequence[Event]) -> list[Placed]:
        return await self._write(partial(self._dialect.publish, plain(topic), events), _PUBLISH)

    def publish_now(self, topic: TopicSpec, events: Sequence[Event]) -> list[Placed]:
        return self._write_now(partial(self._dialect.publish, plain(topic), events), _PUBLISH)

    async def append(self, append: Append) -> int:
        return agreed(append, await self._write(partial(self._dialect.append_one, versioned(append)), _APPEND))

    def append_now(self, append: Append) -> int:
        return agreed(append, self._write_now(partial(self._dialect.append_one, versioned(append)), _APPEND))


class KeptVerbs:
    """What needs no answer is kept back until the next thing that does, or the commit."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._kept = Kept(dialect)

    @abstractmethod
    def _check(self, sql: str = "") -> None:
        """Raises what is to be said of a transaction that has ended."""

    @abstractmethod
    async def _at_once(self, make: Callable[[int], Program[Any]]) -> Any:
        """After what was kept back, which is written before it."""

    @abstractmethod
    def _at_once_now(self, make: Callable[[int], Program[Any]]) -> Any: ...

    async def put(self, messages: Sequence[Message]) -> list[Placed]:
        self._check()
        kept = self._kept.put(messages)
        return kept if isinstance(kept, list) else await self._at_once(kept)

    def put_now(self, messages: Sequence[Message]) -> list[Placed]:
        self._check()
        kept = self._kept.put(messages)
        return kept if isinstance(kept, list) else self._at_once_now(kept)

    async def publish(self, topic: TopicSpec, events: Sequence[Event]) -> list[Placed]:
        self._check()
        kept = self._kept.publish(plain(topic), events)
        return kept if isinstance(kept, list) else await self._at_once(kept)

    def publish_now(self, topic: TopicSpec, events: Sequence[Event]) -> list[Placed]:
        self._check()
        kept = self._kept.publish(plain(topic), events)
        return kept if isinstance(kept, list) else self._at_once_now(kept)

    async def append(self, append: Append) -> int:
        self._check()
        return agreed(append, await self._at_once(partial(self._dialect.append_one, versioned(append))))

    def append_now(self, append: Append) -> int:
        self._check()
        return agreed(append, self._at_once_now(partial(self._dialect.append_one, versioned(append))))


def refuse_lost(settled: Settled, settlements: Sequence[Settlement]) -> None:
    """Raises LeaseLost."""
    if settled.lost:
        jobs = ", ".join(each.delivery.job_id for each in settlements if each.delivery.seq in settled.lost)
        raise LeaseLost(f"job {jobs}: another worker has it now; this run was rolled back")
