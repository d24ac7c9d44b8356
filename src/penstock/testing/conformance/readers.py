"""Topics and subscriptions as the tests use them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from penstock.model.log import Append, Event, Fed, Start, SubscriptionSpec, TopicSpec
from penstock.model.message import Placed
from penstock.ports.log import Log
from penstock.ports.store import Store
from penstock.testing.conformance.ground import Ground
from penstock.testing.conformance.worker import Worker

ORDERS = TopicSpec("orders")
ACCOUNTS = TopicSpec("accounts", versioned=True)


def event(name: str, key: str | None = None, *, type: str = "Placed", given: bool = False) -> Event:
    """Its id and its body are its name."""
    return Event(name, type, name.encode(), key, given=given)


def subscription(
    name: str, topic: TopicSpec = ORDERS, *, types: Sequence[str] = (), start: Start = "beginning", hold: bool = False
) -> SubscriptionSpec:
    return SubscriptionSpec(name, topic, "conformance", tuple(types) or None, start, hold)


async def publish(store: Ground, *names: str, key: str | None = None, topic: TopicSpec = ORDERS) -> list[Placed]:
    return await log(store).publish(topic, [event(name, key) for name in names])


async def append(store: Ground, key: str, *names: str, expected: int | None) -> int:
    return await log(store).append(Append(ACCOUNTS, key, [event(name) for name in names], expected))


async def command(store: Ground, id: str, key: str, count: int, expected: int | None = None) -> int:
    """An append whose id the caller chose."""
    plan = Append(ACCOUNTS, key, (), expected, id)
    return await log(store).append(replace(plan, events=[event(plan.id_of(n), given=True) for n in range(1, count + 1)]))


async def feed(store: Ground | Store, name: str, limit: int = 1_000) -> int:
    """All there is; how many that were."""
    fed = Fed(0, more=True)
    count = 0
    while fed.more and not fed.full:
        fed = await log(store).feed(name, limit)
        count += fed.count
    return count


async def reader(store: Ground, spec: SubscriptionSpec) -> Worker:
    """A worker that knows this subscription and no more."""
    await log(store).declare([spec])
    return await store.worker(spec.name, queues=(spec.name,), wishes=[(spec.name, spec.types)])


async def handled(store: Ground, worker: Worker, name: str) -> list[str]:
    """Feed and do everything; the names of the events, in their order."""
    await feed(store, name)
    names: list[str] = []
    while deliveries := await worker.claim(100, queue=name):
        await worker.done(deliveries)
        names += [delivery.body.decode() for delivery in deliveries]
    return names


def log(store: Ground | Store) -> Log:
    return store.store.log if isinstance(store, Ground) else store.log
