"""Schedules for the test, and by another reckoning than the library's what each of them has to fire."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

MINUTE = 60_000_000
LATE = MINUTE
ZONES = ("Europe/Berlin", "Australia/Sydney", "UTC")
POLICIES = ("skip", "once", "all")


@dataclass(frozen=True)
class Planned:
    """`hour` None: each hour at `minute`. `second`: in a cron of six fields. `every`: µs, instead of all."""

    name: str
    missed: str
    zone: str = "UTC"
    minute: int = 0
    hour: int | None = None
    every: int | None = None
    second: int | None = None

    @property
    def cron(self) -> str:
        second = "" if self.second is None else f"{self.second} "
        return f"{second}{self.minute} {'*' if self.hour is None else self.hour} * * *"

    def slots(self, after: int, until: int, begun: int) -> list[int]:
        """Those in (after, until]."""
        if self.every is not None:
            first, last = (after - begun) // self.every + 1, (until - begun) // self.every
            return [begun + n * self.every for n in range(max(1, first), last + 1)]
        found = self._hourly(after, until) if self.hour is None else self._daily(after, until, self.hour)
        return [slot for slot in found if after < slot <= until]

    def _hourly(self, after: int, until: int) -> Iterator[int]:
        """Each time that the clock on the wall shows this minute; the zones here are whole hours from UTC."""
        hour = after - after % (60 * MINUTE)
        while hour <= until:
            yield hour + self.minute * MINUTE + (self.second or 0) * 1_000_000
            hour += 60 * MINUTE

    def _daily(self, after: int, until: int, hour: int) -> Iterator[int]:
        """Once a day: the first of two, and where there is none, the end of the hour that is skipped."""
        zone = ZoneInfo(self.zone)
        day, last = (datetime.fromtimestamp(instant / 1e6, zone).date() for instant in (after, until))
        while day <= last:
            yield self._on(day, hour, zone)
            day += timedelta(days=1)

    def _on(self, day: date, hour: int, zone: ZoneInfo) -> int:
        moment = datetime.combine(day, time(hour, self.minute, self.second or 0), zone)
        back = moment.astimezone(UTC).astimezone(zone)
        if back.replace(tzinfo=None) != moment.replace(tzinfo=None):
            moment = datetime.combine(day, time(hour + 1, 0), zone)
        return round(moment.timestamp() * 1e6)


def plan(count: int, seed: int) -> list[Planned]:
    """Most of them once a day, about the hours in which clocks change; half of the crons with seconds."""
    chance = Random(seed)
    made: list[Planned] = []
    for n in range(count):
        name, missed = f"s{n:04}", POLICIES[n % 3]
        zone, minute, kind = chance.choice(ZONES), chance.randrange(60), chance.random()
        second = chance.choice((None, chance.randrange(60)))
        if kind < 0.7:
            made.append(Planned(name, missed, zone, minute, chance.randrange(1, 5), second=second))
        elif kind < 0.85:
            made.append(Planned(name, missed, zone, minute, second=second))
        else:
            made.append(Planned(name, missed, every=chance.randrange(40, 200) * MINUTE))
    return made


def jobs(planned: Planned, steps: Sequence[int]) -> Iterator[str]:
    """The ids of all that it has to fire while the store's time goes from the first of `steps` to the last, one after the other."""
    for after, until in pairwise(steps):
        slots = planned.slots(after, until, steps[0])
        if planned.missed == "skip":
            slots = [slot for slot in slots[-1:] if until - slot <= LATE]
        elif planned.missed == "once":
            slots = slots[-1:]
        for slot in slots:
            yield f"{planned.name}@keeper:{datetime.fromtimestamp(slot / 1e6, UTC):%Y%m%dT%H%M%S}Z"
