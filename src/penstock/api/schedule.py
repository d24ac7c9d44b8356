"""Schedules as they are declared."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from msgspec import Struct

from penstock.api.joining import AMBIENT
from penstock.api.link import Link
from penstock.api.options import Using, named
from penstock.api.plan import BoundCall
from penstock.errors import ConfigurationError, PenstockError
from penstock.model.clock import SECOND, micros
from penstock.model.schedule import POLICIES, Missed, Schedule, Template, Timing

_LONGEST = micros(timedelta(days=36_525))


class Scheduled(Struct, frozen=True):
    """`where`: the place in the user's code."""

    where: str
    name: str
    call: BoundCall[Any]
    timing: Timing
    missed: Missed

    def schedule(self, link: Link) -> Schedule:
        """As the store of an app keeps it. Now at the latest the arguments are checked. Raises ConfigurationError."""
        try:
            packed = self.call.packed()
        except (PenstockError, TypeError) as error:
            raise ConfigurationError(f"{self.where}: schedule {self.name!r}: {error}") from error
        plan = packed.plan
        if plan.link is not link:
            raise ConfigurationError(f"{self.where}: schedule {self.name!r}: its task belongs to another app")
        m = plan.message(packed.body, lambda: self.name)
        template = Template(m.task, m.queue, m.body, m.headers, m.options, m.key, m.priority, plan.using.lifetime)
        return Schedule(self.name, self.timing, self.missed, template)


def declare(where: str, call: BoundCall[Any], name: object, cron: object, every: object, tz: object, missed: object) -> Scheduled:
    """Raises ConfigurationError naming the place."""
    known_as = named(f"{where}: schedule(name=…)", name)
    where_named = f"{where}: schedule {known_as!r}"
    if not isinstance(cast(object, call), BoundCall):
        raise ConfigurationError(f"{where_named}: pass a call, task.bind(…), not {call!r}")
    _check_options(where_named, call.chosen)
    if missed not in POLICIES:
        raise ConfigurationError(f"{where_named}: missed={missed!r}: 'skip', 'once' or 'all'")
    timing = _timing(where_named, cron, every, tz)
    return Scheduled(where, known_as, call, timing, missed)


def _check_options(where: str, using: Using) -> None:
    wrong = {
        "delay": using.delay is not None,
        "at": using.at is not None,
        "id": using.id is not None,
        "tx": using.tx is not AMBIENT and using.tx is not None,
        "expires": using.expires is not None,
        "then": using.then is not None,
    }
    for option, given in wrong.items():
        if given:
            advice = _ADVICE.get(option, "its jobs are put when its slots come")
            raise ConfigurationError(f"{where}: the call has using({option}=…): {advice}")


_ADVICE: Mapping[str, str] = {
    "expires": "give it as a length of time",
    "then": "a chain has ids of its own; begin it in the handler",
}


def _timing(where: str, cron: object, every: object, tz: object) -> Timing:
    if (cron is None) == (every is None):
        raise ConfigurationError(f"{where}: give one of cron=… and every=…")
    if every is not None:
        if not isinstance(every, timedelta) or not SECOND <= micros(every) <= _LONGEST:
            raise ConfigurationError(f"{where}: every={every!r}: a timedelta of 1 s at the least and 100 years at the most")
        if tz != "UTC":
            raise ConfigurationError(f"{where}: tz={tz!r} is for cron=…; every=… counts real time")
        return Timing(every=micros(every))
    if not isinstance(cron, str) or not isinstance(tz, str):
        raise ConfigurationError(f"{where}: cron={cron!r}, tz={tz!r}: strings, e.g. '0 3 * * *' and 'Europe/Berlin'")
    timing = Timing(cron=" ".join(cron.split()), tz=tz)
    try:
        timing.check()
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    return timing
