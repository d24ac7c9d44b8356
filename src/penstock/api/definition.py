"""What handles, as it was declared: everything but the options of a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from penstock.api.around import Around
from penstock.api.codec import Codec, ResultCodec
from penstock.api.hook import Hook
from penstock.api.link import Link
from penstock.api.signature import Signature
from penstock.errors import ConfigurationError
from penstock.model.delivery import Delivery
from penstock.model.ids import is_name
from penstock.model.retry import Retry
from penstock.ports.handler import Batch, Isolation

ON_DEAD = ".on_dead"
"""What the name of a task's hook ends in."""
DEFAULT_TIMEOUT = 600.0
"""Seconds for a coroutine or a child process; threads have none."""


@dataclass(frozen=True)
class Attachment:
    """What a task gets from the app that its router was included in."""

    app: Callable[[], str]
    """The app's name; asked for at the first use, since it may have to be derived."""
    link: Link
    payload_limit: int

    def wire(self, name: str) -> str:
        """The name in the store: it carries the app's, so that two apps on one store do not meet by chance."""
        full = f"{self.app()}.{name}"
        if not is_name(full):
            raise ConfigurationError(f"{full!r} is not a name: 1 to 128 of A-Z a-z 0-9 _ . : - (the app's name counts)")
        return full


class Coding(Protocol):
    """From what a message carries to a call."""

    def decode(self, delivery: Delivery) -> Any:
        """The arguments. Raises UndecodablePayload."""
        ...

    def call(self, function: Callable[..., Any], injected: tuple[object, ...], arguments: Any, provided: Mapping[str, object]) -> Any: ...

    def named(self, arguments: Any) -> dict[str, Any]:
        """By the names of the function's parameters."""
        ...


class Owner(Protocol):
    """The router that declared a task."""

    def attachment(self) -> Attachment | None: ...

    def qualified(self, name: str) -> str:
        """With the prefixes under which the router is included."""
        ...

    def surroundings(self) -> Sequence[Around]:
        """Of `def` handlers, the first one outermost."""
        ...


class Handled:
    """What a task and a subscription have in common: a function of the user's, and a name in a router."""

    kind = "task"

    def __init__(
        self,
        owner: Owner,
        signature: Signature,
        *,
        name: str | None,
        aliases: tuple[str, ...],
        isolation: Isolation,
        retry: Retry,
        timeout: float | None,
    ) -> None:
        self.owner = owner
        self.signature = signature
        self.given = name
        """A name that was given is the whole one: no prefix is added, so that it is kept wherever the function moves."""
        self.aliases = aliases
        self.isolation: Isolation = isolation
        self.memory: int | None = None
        """Bytes."""
        self.retry = retry
        self.timeout = timeout
        self.hook: Hook | None = None

    def local(self) -> str:
        """The name within the app."""
        return self.given or self.owner.qualified(self.signature.name)

    def hooked(self, hook: Hook) -> None:
        """Raises ConfigurationError if there is one already."""
        if self.hook is not None:
            raise ConfigurationError(f"{hook.place}: {self.kind} {self.local()!r} has an on_dead hook already, at {self.hook.place}")
        self.hook = hook

    @cached_property
    def attached(self) -> Attachment:
        attachment = self.owner.attachment()
        if attachment is None:
            raise ConfigurationError(
                f"{self.signature.place}: {self.kind} {self.signature.task!r} is used before its router is part of an app: "
                f"call app.include(router) first"
            )
        return attachment

    @cached_property
    def wire(self) -> str:
        return self.attached.wire(self.local())

    @property
    def wire_queue(self) -> str:
        raise NotImplementedError

    @property
    def coding(self) -> Coding:
        """How what its messages carry becomes the function's arguments."""
        raise NotImplementedError


class Definition(Handled):
    """A task."""

    def __init__(
        self,
        owner: Owner,
        signature: Signature,
        *,
        name: str | None,
        aliases: tuple[str, ...],
        queue: str | None,
        isolation: Isolation,
        memory: int | None = None,
        retry: Retry,
        timeout: float | None,
        batch: Batch | None = None,
    ) -> None:
        super().__init__(owner, signature, name=name, aliases=aliases, isolation=isolation, retry=retry, timeout=timeout)
        self.queue = queue
        self.memory = memory
        self.batch = batch

    @property
    def wire_queue(self) -> str:
        """A queue that was named is shared as it is; the default one is the app's own."""
        return self.queue or self.attached.wire("default")

    @cached_property
    def codec(self) -> Codec:
        return Codec(self.wire, self.signature, self.attached.payload_limit)

    @property
    def coding(self) -> Codec:
        return self.codec

    @cached_property
    def results(self) -> ResultCodec:
        return ResultCodec(self.wire, self.signature.returns)

    def result(self, body: bytes | None) -> Any:
        return self.results.unpack(body)
