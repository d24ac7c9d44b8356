"""Schedules as values: when they are due, what they put, and what becomes of slots that nobody was there for.

A *slot* is an instant at which a schedule is due. Times are µs of the store's clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal, TypeAlias, get_args
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError
from msgspec import Struct

from penstock.model.clock import SECOND, from_datetime, to_datetime
from penstock.model.message import DEFAULT_PRIORITY, Message, decode_headers, decode_options

Missed: TypeAlias = Literal["skip", "once", "all"]
"""What becomes of slots that passed while nothing ran."""

POLICIES: tuple[Missed, ...] = get_args(Missed)

LATE = 60 * SECOND
"""A slot that is not looked at within so long was missed."""
MOST = 100
"""Slots of one schedule that fire in one transaction."""


class Timing(Struct, frozen=True, omit_defaults=True):
    """Either `cron` in `tz`, or `every` so many µs, counted from an anchor."""

    cron: str = ""
    every: int = 0
    tz: str = "UTC"

    def check(self) -> None:
        """Raises ValueError: what is wrong with it."""
        zone = zone_of(self.tz)
        if not self.every and next(self._moments(datetime(2000, 1, 1, tzinfo=zone)), None) is None:
            raise ValueError(f"cron={self.cron!r} never comes")

    def after(self, instant: int, anchor: int) -> int | None:
        """The first slot after an instant. None: none comes any more. Raises ValueError if it is not understood here."""
        if self.every:
            return anchor + max(1, (instant - anchor) // self.every + 1) * self.every
        for moment in self._moments(to_datetime(instant).astimezone(zone_of(self.tz))):
            # In an hour that is repeated it thinks by the clock on the wall, and may say a time that has passed.
            if (slot := from_datetime(moment)) > instant:
                return slot
        return None

    def _moments(self, start: datetime) -> Iterator[datetime]:
        """What its cron says from `start` on. A star for the minute or hour: by real time. Else by the clock on the wall, which
        CronSim alone would do for five fields only."""
        star = any(field.startswith("*") for field in self.cron.split()[-5:-3])
        try:
            times = CronSim(self.cron, start if star else start.replace(tzinfo=None))
        except CronSimError as error:
            raise ValueError(f"cron={self.cron!r}: {error}; five fields: minute hour day-of-month month day-of-week") from None
        return times if star else (_shown(moment, start.tzinfo) for moment in times)

    def latest(self, first: int, now: int, anchor: int) -> int:
        """The last slot up to `now`; `first` is one. Costs the same however long nobody looked."""
        if self.every:
            return now - (now - anchor) % self.every
        last, back = first, 60 * SECOND
        while now - back > first:
            if (slot := self.after(now - back, anchor)) is not None and slot <= now:
                last = slot
                break
            back *= 4
        while (slot := self.after(last, anchor)) is not None and slot <= now:
            last = slot
        return last


def _shown(moment: datetime, zone: tzinfo | None) -> datetime:
    """When clocks in the zone show it: the first of two times; the end of the hour that is skipped, if they never do."""
    shown = moment.replace(tzinfo=zone)
    while shown.astimezone(UTC).astimezone(zone) != shown:
        shown = shown.replace(second=0) + timedelta(minutes=1)
    return shown


def zone_of(name: str) -> tzinfo:
    """Raises ValueError. UTC needs no database of zones."""
    if name == "UTC":
        return UTC
    zone = _known(name)
    if zone is None:
        lacking = "" if _known("UTC") else "; this machine has no time zones: install the tzdata package"
        raise ValueError(f"tz={name!r} is not a time zone, e.g. Europe/Berlin{lacking}")
    return zone


def _known(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, TypeError, LookupError):
        return None


class Template(Struct, frozen=True, omit_defaults=True):
    """The message that each firing puts, but for its id and times. `lifetime`: µs from the firing until it expires."""

    task: str
    queue: str
    body: bytes
    headers: bytes | None = None
    options: bytes | None = None
    key: str | None = None
    priority: int = DEFAULT_PRIORITY
    lifetime: int | None = None

    def message(self, job_id: str, now: int, headers: dict[str, str]) -> Message:
        """Known by its id: a second one is the first one."""
        raw = msgspec.json.encode({**decode_headers(self.headers), **headers})
        expires = None if self.lifetime is None else now + self.lifetime
        unique = decode_options(self.options).unique
        return Message(
            job_id, self.queue, self.task, self.body, raw, self.options, self.key, self.priority, None, expires, given=True, unique=unique
        )  # fmt: skip


class Schedule(Struct, frozen=True, omit_defaults=True):
    """As the code defines it. Its JSON is what the store keeps."""

    name: str
    timing: Timing
    missed: Missed
    template: Template

    def encoded(self) -> bytes:
        return msgspec.json.encode(self)


def digest(definition: bytes) -> str:
    return hashlib.sha256(definition).hexdigest()[:32]


Identity: TypeAlias = tuple[str, str, str]
"""One definition of a schedule: app, name, digest."""


class Due(Struct, frozen=True):
    """A schedule whose next slot has come."""

    app: str
    schedule: Schedule
    digest: str
    next: int
    anchor: int
    paused: bool

    @property
    def identity(self) -> Identity:
        return self.app, self.schedule.name, self.digest


class Firing(Struct, frozen=True):
    """What becomes of it, if it is still as it was seen: its next slot, and the messages of the slots that fire."""

    due: Due
    next: int | None
    slot: int | None = None
    """The last slot that fires."""
    messages: tuple[Message, ...] = ()


class ScheduleView(Struct, frozen=True):
    """One schedule as it is looked at from outside."""

    app: str
    schedule: Schedule
    paused: bool
    live: bool
    """A live worker declares it."""
    removed: bool
    """Workers of its app are alive, and none declares it."""
    next: int | None
    slot: int | None
    """The last that fired."""
    fired: int | None
    """µs: when it last put a job, by a slot or by hand."""
    job: str | None
    """The id of that job."""


def label(app: str, name: str) -> str:
    """Its name in the whole store. Neither part can hold an @."""
    return f"{name}@{app}"


def decide(due: Due, now: int) -> Firing:
    """One firing per slot, by construction: the id of a slot's job is made of the slot."""
    timing = due.schedule.timing
    if due.schedule.missed == "all" and not due.paused:
        slots = _first_slots(due, now)
        return Firing(due, timing.after(slots[-1], due.anchor), slots[-1], tuple(_message(due, slot, slot, now) for slot in slots))
    last = timing.latest(due.next, now, due.anchor)
    following = timing.after(last, due.anchor)
    if due.paused or (due.schedule.missed == "skip" and now - last > LATE):
        return Firing(due, following)
    since = due.next if due.schedule.missed == "once" else last
    return Firing(due, following, last, (_message(due, last, since, now),))


def _first_slots(due: Due, now: int) -> list[int]:
    slots = [due.next]
    while len(slots) < MOST and (slot := due.schedule.timing.after(slots[-1], due.anchor)) is not None and slot <= now:
        slots.append(slot)
    return slots


def _message(due: Due, slot: int, since: int, now: int) -> Message:
    name = label(due.app, due.schedule.name)
    headers = {"penstock-schedule": name, "penstock-slot": instant(slot)}
    if since < slot:
        headers["penstock-since"] = instant(since)
    return due.schedule.template.message(f"{name}:{compact(slot)}", now, headers)


def instant(slot: int) -> str:
    """`2026-03-29T01:00:00Z`."""
    return to_datetime(slot).isoformat().replace("+00:00", "Z")


def compact(slot: int) -> str:
    """`20260329T010000Z`, and with the µs that there are: part of an id."""
    return instant(slot).replace("-", "").replace(":", "")
