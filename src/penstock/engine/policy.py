"""What a task's definition says about its runs, and what a single message says instead."""

from __future__ import annotations

from msgspec import Struct

from penstock.model.delivery import Delivery
from penstock.model.message import decode_options
from penstock.model.retry import Retry
from penstock.ports.handler import Route


class Policy(Struct, frozen=True):
    """Of one task. `timeout` in seconds."""

    retry: Retry
    timeout: float | None = None
    stoppable: bool = True


UNKNOWN = Policy(Retry())


def policy_of(route: Route) -> Policy:
    return Policy(route.retry, route.timeout, route.isolation != "thread")


def timeout_of(policy: Policy, delivery: Delivery) -> float | None:
    own = decode_options(delivery.options).timeout
    return policy.timeout if own is None else own


def retry_of(policy: Policy, delivery: Delivery) -> Retry:
    if delivery.options is None:
        return policy.retry
    own, task = decode_options(delivery.options), policy.retry
    return Retry(
        attempts=task.attempts if own.attempts is None else own.attempts,
        first=task.first if own.first is None else own.first,
        factor=task.factor if own.factor is None else own.factor,
        limit=task.limit if own.limit is None else own.limit,
        give_up=task.give_up,
    )
