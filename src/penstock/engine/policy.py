"""What a task's definition says about its runs, and what a single message says instead."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from penstock.model.delivery import Delivery
from penstock.model.message import Options
from penstock.model.retry import Retry
from penstock.ports.handler import Route

_options = msgspec.json.Decoder(Options)


class Policy(Struct, frozen=True):
    """Of one task. `timeout` in seconds."""

    retry: Retry
    timeout: float | None = None
    stoppable: bool = True


UNKNOWN = Policy(Retry())


def policy_of(route: Route) -> Policy:
    return Policy(route.retry, route.timeout, route.isolation != "thread")


def timeout_of(policy: Policy, delivery: Delivery) -> float | None:
    own = _overrides(delivery).timeout
    return policy.timeout if own is None else own


def retry_of(policy: Policy, delivery: Delivery) -> Retry:
    if delivery.options is None:
        return policy.retry
    own, task = _overrides(delivery), policy.retry
    return Retry(
        attempts=task.attempts if own.attempts is None else own.attempts,
        first=task.first if own.first is None else own.first,
        factor=task.factor if own.factor is None else own.factor,
        limit=task.limit if own.limit is None else own.limit,
        give_up=task.give_up,
    )


def _overrides(delivery: Delivery) -> Options:
    """Options were checked when they were written; if they cannot be read all the same, the task's own policy holds."""
    try:
        return _options.decode(delivery.options or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Options()
