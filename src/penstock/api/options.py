"""What `task.using(…)` takes: checked once, and kept in the form that a message needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, cast

import msgspec

from penstock.api.joining import AMBIENT, Connection
from penstock.api.link import Link
from penstock.errors import ConfigurationError, PayloadTooLarge
from penstock.model.chain import Successor
from penstock.model.clock import Duration, from_datetime, micros, seconds
from penstock.model.ids import is_name
from penstock.model.message import DEFAULT_PRIORITY, Options, raw
from penstock.model.retry import Retry
from penstock.model.unique import Hold, Unique

MAX_HEADERS = 16 * 1024
"""Bytes of a message's encoded headers."""


class Bound(Protocol):
    """A call that is enqueued when another job is done."""

    @property
    def link(self) -> Link: ...

    @property
    def links(self) -> int:
        """Jobs in the chain that begins with it."""
        ...

    def successor(self, next_id: Callable[[], str]) -> Successor: ...


_TASKS_OWN = Options()
"""Nothing said: the task's policy holds."""


@dataclass(frozen=True)
class Using:
    """The options of one call. Times in µs: `delay` and `lifetime` from when the store has it on, `at` and `expires` by the clock."""

    delay: int | None = None
    at: int | None = None
    lifetime: int | None = None
    expires: int | None = None
    priority: int = DEFAULT_PRIORITY
    key: str | None = None
    id: str | None = None
    tx: Connection | None = AMBIENT
    headers: bytes | None = None
    policy: Options = _TASKS_OWN
    unique: Unique | None = None
    then: Bound | None = None

    @property
    def timed(self) -> bool:
        return not (self.delay is None and self.at is None and self.lifetime is None and self.expires is None)

    def options(self, hold: Hold | None, then: Successor | None) -> bytes | None:
        """As they are kept with the message."""
        chosen = self.policy if hold is None else msgspec.structs.replace(self.policy, unique=hold)
        if then is not None:
            chosen = msgspec.structs.replace(chosen, then=raw(msgspec.json.encode(then)))
        return None if chosen == _TASKS_OWN else msgspec.json.encode(chosen)

    def when(self, delay: Duration | None, at: datetime | None) -> Using:
        if delay is not None and at is not None:
            raise ConfigurationError("using(delay=…, at=…): give one of the two")
        if delay is not None:
            return replace(self, delay=_length("delay", delay), at=None)
        return self if at is None else replace(self, at=_instant("at", at), delay=None)

    def until(self, expires: Duration | datetime | None) -> Using:
        match expires:
            case None:
                return self
            case datetime():
                return replace(self, expires=_instant("expires", expires), lifetime=None)
            case _:
                return replace(self, lifetime=_length("expires", expires), expires=None)

    def placed(self, priority: int | None, key: str | None, id: str | None) -> Using:
        chosen = self
        if priority is not None:
            chosen = replace(chosen, priority=_priority(priority))
        if key is not None:
            chosen = replace(chosen, key=named("using(key=…)", key))
        return chosen if id is None else replace(chosen, id=named("using(id=…)", id))

    def named(self, unique: Unique | None, then: Bound | None) -> Using:
        if unique is not None and not isinstance(cast(object, unique), Unique):
            raise ConfigurationError(f"using(unique={unique!r}): pass a Unique, e.g. Unique('welcome:7')")
        return replace(self, unique=unique or self.unique, then=then or self.then)

    def through(self, tx: Connection | None, headers: bytes | None) -> Using:
        return replace(self, tx=tx, headers=headers)

    def tried(self, retry: Retry | None, timeout: Duration | None) -> Using:
        policy = self.policy
        if retry is not None:
            policy = msgspec.structs.replace(policy, **_policy(retry))
        if timeout is not None:
            policy = msgspec.structs.replace(policy, timeout=positive("using(timeout=…)", timeout))
        return replace(self, policy=policy)

    def checked(self) -> Using:
        """Raises ConfigurationError for a message that could never start."""
        if self.lifetime is not None and self.lifetime <= (self.delay or 0):
            raise ConfigurationError("using(expires=…): it would expire before it may start")
        if self.at is not None and self.expires is not None and self.expires <= self.at:
            raise ConfigurationError("using(expires=…): it would expire before it may start")
        return self


def named(what: str, text: Any) -> str:
    """Raises ConfigurationError unless `text` may be a name."""
    if not isinstance(text, str) or not is_name(text):
        raise ConfigurationError(f"{what}: {text!r} is not a name: 1 to 128 of A-Z a-z 0-9 _ . : -")
    return text


def positive(what: str, duration: Any) -> float:
    """Seconds; raises ConfigurationError unless more than none and finite."""
    length = _seconds(what, duration)
    if not 0 < length < math.inf:
        raise ConfigurationError(f"{what}: {duration!r} is not a length of time above 0")
    return length


def seconds_from_none(what: str, duration: Any) -> float:
    """Raises ConfigurationError unless 0 or more, and finite."""
    length = _seconds(what, duration)
    if not 0 <= length < math.inf:
        raise ConfigurationError(f"{what}: {duration!r} is not a length of time from 0 on")
    return length


def encoded_headers(headers: Mapping[str, str] | None) -> bytes | None:
    if not headers:
        return None
    for name, value in headers.items():
        _check_header(name, value)
    raw = msgspec.json.encode(dict(headers))
    if len(raw) > MAX_HEADERS:
        raise PayloadTooLarge(f"using(headers=…): {len(raw)} bytes, the limit is {MAX_HEADERS}")
    return raw


def _check_header(name: Any, value: Any) -> None:
    if not isinstance(name, str) or not isinstance(value, str):
        raise ConfigurationError(f"using(headers=…): names and values are strings, got {name!r}: {value!r}")


def _length(what: str, duration: Any) -> int:
    seconds_from_none(f"using({what}=…)", duration)
    return micros(duration)


def _seconds(what: str, duration: Any) -> float:
    try:
        return seconds(duration)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{what}: {duration!r} is neither a number of seconds nor a timedelta") from None


def _instant(what: str, moment: Any) -> int:
    if not isinstance(moment, datetime):
        raise ConfigurationError(f"using({what}=…): {moment!r} is not a datetime")
    try:
        return from_datetime(moment)
    except ValueError as error:
        raise ConfigurationError(f"using({what}=…): {error}") from None


def _priority(priority: Any) -> int:
    if not isinstance(priority, int) or isinstance(priority, bool) or not 0 <= priority <= 9:
        raise ConfigurationError(f"using(priority={priority!r}): a priority is 0 to 9, 9 first")
    return priority


def _policy(retry: Any) -> dict[str, Any]:
    if not isinstance(retry, Retry):
        raise ConfigurationError(f"using(retry={retry!r}): pass a Retry, e.g. Retry(attempts=3)")
    if retry.give_up:
        raise ConfigurationError("using(retry=Retry(give_up=…)): exception types do not travel; give them to @task(retry=…)")
    return {"attempts": retry.attempts, "first": seconds(retry.first), "factor": retry.factor, "limit": seconds(retry.limit)}
