"""Calls that are not enqueued yet: a task, its options, its encoded arguments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from penstock.api.definition import Definition
from penstock.api.joining import AMBIENT
from penstock.api.link import Link
from penstock.api.options import Bound, Using
from penstock.errors import ConfigurationError, PayloadTooLarge
from penstock.model.chain import Successor
from penstock.model.message import Message, raw
from penstock.model.unique import hold_of

R_co = TypeVar("R_co", covariant=True)

MAX_LINKS = 100
"""Jobs in one chain."""
_AN_ID = "01900000-0000-7000-8000-000000000000"
"""As long as those that are made."""


class Plan:
    """A task with the options of its calls, ready to make messages: everything that can be known before is known."""

    __slots__ = (
        "_fixed",
        "_given",
        "_headers",
        "_key",
        "_options",
        "_priority",
        "_queue",
        "_task",
        "_then",
        "_timed",
        "hold",
        "link",
        "pack",
        "result",
        "tx",
        "using",
    )

    def __init__(self, definition: Definition, using: Using) -> None:
        self.using = using
        self.link: Link = definition.attached.link
        self.pack = definition.codec.pack
        self.result = definition.result
        self.tx = using.tx
        self._task = definition.wire
        self._queue = definition.wire_queue
        self._headers = using.headers
        self._then = using.then
        self.hold = None if using.unique is None else hold_of(using.unique, definition.wire)
        self._options = using.options(self.hold, None)
        if self._then is not None:
            self._check_chain(self._then, definition.attached.payload_limit)
        self._key = using.key
        self._priority = using.priority
        self._fixed = using.id
        self._given = using.id is not None
        self._timed = using.timed

    def message(self, body: bytes, next_id: Callable[[], str]) -> Message:
        id = self._fixed or next_id()
        options = self._options if self._then is None else self.options(next_id)
        if self._timed:
            return self._timed_message(id, body, options)
        return Message(
            id, self._queue, self._task, body, self._headers, options, self._key, self._priority, None, None, self._given, self.hold
        )  # fmt: skip

    def _timed_message(self, id: str, body: bytes, options: bytes | None) -> Message:
        """Lengths of time stay such: the store makes instants of them, by its own clock."""
        using = self.using
        return Message(
            id,
            self._queue,
            self._task,
            body,
            self._headers,
            options,
            self._key,
            self._priority,
            due=using.at,
            expires=using.expires,
            given=self._given,
            unique=self.hold,
            delay=using.delay,
            lifetime=using.lifetime,
        )

    def options(self, next_id: Callable[[], str]) -> bytes | None:
        return self._options if self._then is None else self.using.options(self.hold, self._then.successor(next_id))

    def successor(self, body: bytes, next_id: Callable[[], str]) -> Successor:
        """As another job carries it."""
        using = self.using
        return Successor(
            id=self._fixed or next_id(),
            queue=self._queue,
            task=self._task,
            body=raw(body),
            headers=raw(self._headers),
            options=raw(self.options(next_id)),
            key=self._key,
            priority=self._priority,
            delay=using.delay,
            at=using.at,
            lifetime=using.lifetime,
            expires=using.expires,
            given=self._given,
        )

    def _check_chain(self, then: Bound, limit: int) -> None:
        if then.link is not self.link:
            raise ConfigurationError(f"{self._task}: using(then=…): what follows is a task of another app")
        size = len(self.options(lambda: _AN_ID) or b"")
        if size > limit:
            raise PayloadTooLarge(f"{self._task}: using(then=…): what follows is {size} bytes with its arguments, the limit is {limit}")


class BoundCall(ABC, Generic[R_co]):
    """A task with its arguments, checked and encoded, and its options; not yet enqueued. For `app.enqueue_many`, `app.schedule` and
    `using(then=…)`.

    Of a task whose router is in no app yet the arguments are taken and checked when the call is first used.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def chosen(self) -> Using: ...

    @abstractmethod
    def packed(self) -> Packed[R_co]:
        """Checked and encoded. Errors as in `Task.enqueue`."""


class Packed(BoundCall[R_co]):
    __slots__ = ("body", "plan")

    def __init__(self, plan: Plan, body: bytes) -> None:
        self.plan = plan
        self.body = body

    @property
    def chosen(self) -> Using:
        return self.plan.using

    def packed(self) -> Packed[R_co]:
        return self


class Deferred(BoundCall[R_co]):
    """Its router is in no app yet: nothing is known of names and limits. The arguments are taken when they are first used."""

    def __init__(self, definition: Definition, using: Using, pack: Callable[[Plan], bytes]) -> None:
        self._definition = definition
        self._using = using
        self._pack = pack
        self._packed: Packed[R_co] | None = None

    @property
    def chosen(self) -> Using:
        return self._using

    def packed(self) -> Packed[R_co]:
        """Kept once it is made, since each call of a chain asks all that follow; an error is not."""
        if self._packed is None:
            plan = Plan(self._definition, self._using)
            self._packed = Packed(plan, self._pack(plan))
        return self._packed


class Following:
    """A call that waits for the end of another job: it begins in the transaction that ends that one, and it must begin."""

    __slots__ = ("_call", "links")

    def __init__(self, call: BoundCall[Any]) -> None:
        using = call.chosen
        self.links = 1 if using.then is None else 1 + using.then.links
        self._call = call
        if using.tx is not AMBIENT:
            raise ConfigurationError("using(then=task.using(tx=…).bind(…)): what follows joins the transaction that ends the first")
        if using.unique is not None:
            raise ConfigurationError("using(then=task.using(unique=…).bind(…)): what follows must begin, so it cannot give way to another")
        if self.links >= MAX_LINKS:
            raise ConfigurationError(f"using(then=…): a chain has at most {MAX_LINKS} jobs")

    @property
    def link(self) -> Link:
        return self._call.packed().plan.link

    def successor(self, next_id: Callable[[], str]) -> Successor:
        packed = self._call.packed()
        return packed.plan.successor(packed.body, next_id)


def following(call: BoundCall[Any] | None) -> Following | None:
    """Raises ConfigurationError for what cannot follow."""
    _check_bound(call)
    return None if call is None else Following(call)


def _check_bound(call: Any) -> None:
    if call is not None and not isinstance(call, BoundCall):
        raise ConfigurationError(f"using(then={call!r}): pass a bound call, then=task.bind(…)")
