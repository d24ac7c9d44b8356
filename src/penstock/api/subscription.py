"""Subscriptions: functions that handle the events of a topic."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from penstock.api.definition import Handled, Owner
from penstock.api.events import EventCoding
from penstock.api.hook import Hook, OnDead
from penstock.api.signature import Signature
from penstock.api.topic import Declared
from penstock.errors import ConfigurationError
from penstock.model.log import Start, SubscriptionSpec
from penstock.model.retry import Retry
from penstock.ports.handler import Isolation

Event = TypeVar("Event")


class SubscriptionDefinition(Handled):
    """A subscription as it was declared."""

    kind = "subscription"

    def __init__(
        self,
        owner: Owner,
        signature: Signature,
        topic: Declared,
        *,
        name: str | None,
        only: type[Any] | None,
        start: Start,
        hold: bool,
        concurrency: int | None,
        isolation: Isolation,
        retry: Retry,
        timeout: float | None,
    ) -> None:
        super().__init__(owner, signature, name=name, aliases=(), isolation=isolation, retry=retry, timeout=timeout)
        if len(signature.parameters) != 1:
            raise ConfigurationError(
                f"{signature.place}: subscription {signature.task!r} takes one event (after ctx, tx; before what is injected), "
                f"not {len(signature.parameters)} arguments"
            )
        self.topic = topic
        self._only = None if only is None else _names(signature, topic, only)
        self._start: Start = start
        self._hold = hold
        self.concurrency = concurrency

    @property
    def wire_queue(self) -> str:
        return self.wire

    @property
    def coding(self) -> EventCoding:
        return EventCoding(self.topic.types, self.signature, self._only)

    def spec(self) -> SubscriptionSpec:
        return SubscriptionSpec(self.wire, self.topic.spec, self.attached.app(), self._only, self._start, self._hold)


def _names(signature: Signature, topic: Declared, only: type[Any]) -> tuple[str, ...]:
    names = topic.types.names_of(only)
    if not names:
        raise ConfigurationError(f"{signature.place}: subscribe(only={only!r}): topic {topic.spec.name!r} does not carry that type")
    return names


def refuse_shared_queues(definitions: Iterable[Handled]) -> None:
    """A seek drops what a subscription was fed: nobody else's jobs wait in its queue."""
    known = list(definitions)
    names = {each.wire for each in known if isinstance(each, SubscriptionDefinition)}
    for each in known:
        if not isinstance(each, SubscriptionDefinition) and each.wire_queue in names:
            raise ConfigurationError(
                f"{each.signature.place}: {each.kind} {each.local()!r}: the queue {each.wire_queue!r} is a subscription's own; name another"
            )


class Subscription(Generic[Event]):
    """A function that handles the events of a topic, each once for this subscription. Made by `@app.subscribe(topic)`.

    It is fed a message for each event, in the topic's order; from there on that is a job like any other, in a queue of the
    subscription's name: retried, in order per key, buried, replayed. Called plainly it runs the function itself.
    """

    def __init__(self, definition: SubscriptionDefinition) -> None:
        self._definition = definition
        self.__wrapped__ = definition.signature.function

    def __repr__(self) -> str:
        return f"<Subscription {self._definition.local()} of {self._definition.topic.spec.name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function itself: `ctx`, `tx` and what is injected are the caller's to give."""
        return self._definition.signature.function(*args, **kwargs)

    @property
    def name(self) -> str:
        """The name in the store, also of its queue: the app's, the router's prefix and the function's, joined by dots."""
        return self._definition.wire

    def on_dead(self, handler: OnDead, /) -> OnDead:
        """Decorate a function of one `DeadLetter` that is told, durably, of each event that this subscription buried."""
        self._definition.hooked(Hook(handler))
        return handler
