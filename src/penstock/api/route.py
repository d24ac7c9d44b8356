"""Tasks and subscriptions as the engine runs them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from penstock.api.around import within
from penstock.api.codec import pack_result
from penstock.api.context import context_of
from penstock.api.definition import DEFAULT_TIMEOUT, ON_DEAD, Handled
from penstock.api.hook import Hook
from penstock.api.inject import provide
from penstock.api.letter import DeadLetter
from penstock.api.transaction import Transaction
from penstock.errors import ConfigurationError, UndecodablePayload
from penstock.model.delivery import Delivery
from penstock.model.job import DeadLetterView
from penstock.model.retry import Retry
from penstock.ports.handler import Batch, Isolation, Scope


class HandlerRoute:
    """One task or subscription: `penstock.ports.handler.Route`. Making it compiles its codec."""

    def __init__(self, definition: Handled) -> None:
        signature = definition.signature
        self.name = definition.wire
        self.aliases = tuple(definition.attached.wire(alias) for alias in definition.aliases)
        self.queue = definition.wire_queue
        self.isolation: Isolation = definition.isolation
        self.module = signature.function.__module__ or ""
        """Where an import meets the handler; "" for code that was made at run time, which is nowhere."""
        self.asynchronous = signature.asynchronous
        self.memory = definition.memory
        self.retry = definition.retry
        self.timeout = definition.timeout
        self.transactional = signature.transactional
        self.batch: Batch | None = None
        self.hook = definition.hook is not None
        self.bare = not (signature.transactional or signature.context is not None or signature.providers)
        self._contextual = signature.context is not None
        self._coding = definition.coding
        surroundings = () if self.asynchronous else definition.owner.surroundings()
        self._function = within(surroundings, signature.function)
        self._providers = signature.providers
        self._link = definition.attached.link
        self._limit = definition.attached.payload_limit
        self._definition = definition

    def decode(self, delivery: Delivery) -> Any:
        return self._coding.decode(delivery)

    async def inject(self) -> Mapping[str, object]:
        return await provide(self._providers)

    def call(self, arguments: Any, scope: Scope | None, injected: Mapping[str, object]) -> Any:
        given = () if scope is None else self._given(scope)
        return self._checked(self._coding.call(self._function, given, arguments, injected))

    def _checked(self, value: Any) -> Any:
        if not self.asynchronous and inspect.iscoroutine(value):
            value.close()
            raise ConfigurationError(f"{self._definition.kind} {self.name!r} is a def that returned a coroutine: make it an async def")
        return value

    def encode(self, value: object) -> bytes | None:
        return pack_result(self.name, value, self._limit)

    def check_state(self, state: object) -> None:
        """Raises ConfigurationError if the lifespan did not yield what `Context[Resources]` asks for."""
        wanted = self._definition.signature.state
        if isinstance(wanted, type) and wanted is not Any and not isinstance(state, wanted):
            raise ConfigurationError(
                f"{self._definition.signature.place}: {self._definition.kind} {self.name!r} asks for Context[{wanted.__qualname__}], "
                f"but the app's lifespan yields {_described(state)}"
            )

    def _given(self, scope: Scope) -> tuple[object, ...]:
        given: tuple[object, ...] = (context_of(scope),) if self._contextual else ()
        if self.transactional and scope.transaction is not None:
            given += (Transaction(scope.transaction, self._link),)
        return given


class HookRoute:
    """`<task or subscription>.on_dead`: its message names a dead letter. Nobody is told of one that is no more."""

    def __init__(self, definition: Handled, hook: Hook) -> None:
        self.name = definition.wire + ON_DEAD
        self.aliases = tuple(definition.attached.wire(alias) + ON_DEAD for alias in definition.aliases)
        self.queue = definition.wire_queue
        self.isolation: Isolation = "loop"
        self.asynchronous = True
        self.memory: int | None = None
        self.retry = Retry()
        self.timeout: float | None = DEFAULT_TIMEOUT
        self.transactional = False
        self.batch: Batch | None = None
        self.hook = False
        self.bare = True
        self._hook = hook
        self._surroundings = definition.owner.surroundings()
        self._coding = definition.coding
        self._link = definition.attached.link

    def decode(self, delivery: Delivery) -> str:
        try:
            return _letters.decode(delivery.body).letter
        except msgspec.MsgspecError as error:
            raise UndecodablePayload(f"{self.name}: {error}") from error

    async def inject(self) -> Mapping[str, object]:
        return {}

    async def call(self, arguments: str, scope: Scope | None, injected: Mapping[str, object]) -> None:
        view = await self._link.run(lambda store: store.inspect.letter(arguments))
        if view is not None:
            await self._hook.tell(DeadLetter(view, self._link, self._arguments), self._surroundings)

    def encode(self, value: object) -> bytes | None:
        return None

    def _arguments(self, letter: DeadLetterView) -> Mapping[str, Any]:
        delivery = Delivery(0, letter.id, letter.queue, letter.task, letter.attempts, letter.body, letter.key, type=letter.type)
        return self._coding.named(self._coding.decode(delivery))


class _Named(Struct):
    letter: str


_letters = msgspec.json.Decoder(_Named)


def _described(state: object) -> str:
    return "nothing" if state is None else f"a {type(state).__qualname__}"
