"""Declares topics and subscriptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, Unpack, overload

from penstock.api import place
from penstock.api.declaring import AfterDeath, Handler, TopicOptions, declare_topic
from penstock.api.fitting import checked_retry, isolation_of, locals_of, name_of, timeout_of
from penstock.api.limits import whole_number
from penstock.api.registry import Registry
from penstock.api.signature import read
from penstock.api.subscription import Subscription, SubscriptionDefinition
from penstock.api.topic import Accepts, Chosen, Topic
from penstock.errors import ConfigurationError
from penstock.model.clock import Duration
from penstock.model.limit import Limit
from penstock.model.log import Start, SubscriptionSpec, TopicSpec
from penstock.model.retry import Retry

Event = TypeVar("Event")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")
G = TypeVar("G")
H = TypeVar("H")


class TopicRouter(Registry):
    """The part of a `Router` that declares topics and subscriptions."""

    # fmt: off
    @overload
    def topic(self, name: str, a: type[A], /, **options: Unpack[TopicOptions[A]]) -> Topic[A]: ...
    @overload
    def topic(self, name: str, a: type[A], b: type[B], /, **options: Unpack[TopicOptions[A | B]]) -> Topic[A | B]: ...
    @overload
    def topic(self, name: str, a: type[A], b: type[B], c: type[C], /, **options: Unpack[TopicOptions[A | B | C]]) -> Topic[A | B | C]: ...
    @overload
    def topic(self, name: str, a: type[A], b: type[B], c: type[C], d: type[D], /,
              **options: Unpack[TopicOptions[A | B | C | D]]) -> Topic[A | B | C | D]: ...
    @overload
    def topic(self, name: str, a: type[A], b: type[B], c: type[C], d: type[D], e: type[E], /,
              **options: Unpack[TopicOptions[A | B | C | D | E]]) -> Topic[A | B | C | D | E]: ...
    @overload
    def topic(self, name: str, a: type[A], b: type[B], c: type[C], d: type[D], e: type[E], f: type[F], /,
              **options: Unpack[TopicOptions[A | B | C | D | E | F]]) -> Topic[A | B | C | D | E | F]: ...
    @overload
    def topic(self, name: str, a: type[A], b: type[B], c: type[C], d: type[D], e: type[E], f: type[F], g: type[G], /,
              **options: Unpack[TopicOptions[A | B | C | D | E | F | G]]) -> Topic[A | B | C | D | E | F | G]: ...
    @overload
    def topic(self, name: str, a: type[A], b: type[B], c: type[C], d: type[D], e: type[E], f: type[F], g: type[G], h: type[H], /,
              **options: Unpack[TopicOptions[A | B | C | D | E | F | G | H]]) -> Topic[A | B | C | D | E | F | G | H]: ...
    # fmt: on
    def topic(self, name: str, /, *types: type[Any], **options: Any) -> Topic[Any]:
        """Declare a topic that carries events of 1 to 8 types, each given by itself: dataclasses, msgspec Structs, attrs, pydantic.

        `name` is the whole name in the store, shared with every app that names it. Events are stored under the names of their
        types; `aliases`: older such names of a type, whose events are still stored. `key`: from an event to its key; events of
        one key reach each subscription in order. `retention`: events older than that go when every subscription has read them;
        `retention_max`: older than that, in any case. `versioned`: each key is a stream with versions, kept for ever. Raises
        ConfigurationError, naming file and line.
        """
        declared = declare_topic(self, place.caller(), name, types, options)
        self._register_topic(declared)
        return Topic(declared, Chosen())

    @overload
    def subscribe(
        self, topic: Topic[Event], /, *, only: None = None, name: str | None = None, start: Start = "now",
        on_dead: AfterDeath = "continue", retry: Retry | None = None, timeout: Duration | None = None, concurrency: int | None = None,
    ) -> Callable[[Handler[Event]], Subscription[Event]]: ...  # fmt: skip
    @overload
    def subscribe(
        self, topic: Accepts[Event], /, *, only: type[Event], name: str | None = None, start: Start = "now",
        on_dead: AfterDeath = "continue", retry: Retry | None = None, timeout: Duration | None = None, concurrency: int | None = None,
    ) -> Callable[[Handler[Event]], Subscription[Event]]: ...  # fmt: skip
    def subscribe(
        self, topic: Any, /, *, only: type[Any] | None = None, name: str | None = None, start: Start = "now",
        on_dead: AfterDeath = "continue", retry: Retry | None = None, timeout: Duration | None = None, concurrency: int | None = None,
    ) -> Callable[[Handler[Any]], Subscription[Any]]:  # fmt: skip
        """Declare a subscription: a function of one event (after `ctx` and `tx`) that handles each event of a topic once.

        Its name in the store, also that of its queue, is `<app>.<prefix>.<function>`; `name` is instead of
        `<prefix>.<function>`, whole. `only`: one of the topic's types. `start`: where it begins when it is registered for the
        first time, with the start of a worker: `now`, or at the `beginning`. `on_dead`: when an event dies the next one of its
        key passes (`continue`), or the key waits until it is replayed or discarded (`hold`). `retry` and `timeout` as for tasks.
        `concurrency`: so many of its events are handled at once over all workers, as with `app.queue(…, concurrency=…)`. Raises
        ConfigurationError, naming file and line.
        """
        at_once = whole_number(f"{place.caller()}: subscribe", "concurrency", concurrency)
        _check_subscribe(topic, start, on_dead)
        policy = checked_retry("subscribe", retry)

        def decorate(function: Callable[..., Any]) -> Subscription[Any]:
            signature = read(function, name or name_of(function), locals_of(function))
            isolation = isolation_of(signature, None)
            definition = SubscriptionDefinition(
                self,
                signature,
                topic._declared,
                name=name,
                only=only,
                start=start,
                hold=on_dead == "hold",
                concurrency=at_once,
                isolation=isolation,
                retry=policy,
                timeout=timeout_of(signature, isolation, timeout),
            )
            self._declare(definition)
            return Subscription(definition)

        return decorate

    def own_limits(self) -> tuple[Limit, ...]:
        """What subscriptions say of their own queues."""
        known = {each.wire: each for each in self.definitions().values() if isinstance(each, SubscriptionDefinition)}
        return tuple(Limit(name, each.concurrency, None) for name, each in known.items() if each.concurrency is not None)

    def feeds(self) -> tuple[tuple[SubscriptionSpec, ...], tuple[TopicSpec, ...]]:
        """All subscriptions and topics, as a store is told of them."""
        specs = {each.wire: each.spec() for each in self.definitions().values() if isinstance(each, SubscriptionDefinition)}
        return tuple(specs.values()), tuple(topic.spec for topic in self.topics().values())


def _check_subscribe(topic: object, start: object, on_dead: object) -> None:
    where = place.caller()
    if not isinstance(topic, Topic):
        raise ConfigurationError(f"{where}: subscribe({topic!r}): what app.topic(…) returned, not its name or a type")
    if start not in ("beginning", "now"):
        raise ConfigurationError(f"{where}: subscribe(start={start!r}): 'beginning' or 'now'")
    if on_dead not in ("continue", "hold"):
        raise ConfigurationError(f"{where}: subscribe(on_dead={on_dead!r}): 'continue' or 'hold'")
