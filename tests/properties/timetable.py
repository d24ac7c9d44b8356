"""Schedules as a dictionary: which definition holds, and which slots fire, by the reckoning of the fault suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from penstock.model.clock import SECOND
from penstock.model.schedule import Schedule, Template, Timing
from penstock.testing.conformance.ground import QUEUE, TASK
from penstock_faults.plan import LATE, MINUTE, Planned

DAYS = 2 * 24 * 60 * MINUTE
LAPSE = 10 * MINUTE
"""What a release does not have for so long is removed."""
AT_ONCE = 100
"""Slots of one schedule that are made up for in one go."""
Name = tuple[str, str]
"""App and name."""


class Definition(NamedTuple):
    planned: Planned
    body: bytes

    @property
    def timing(self) -> Timing:
        planned = self.planned
        return Timing(every=planned.every) if planned.every else Timing(planned.cron, tz=planned.zone)

    @property
    def schedule(self) -> Schedule:
        return Schedule(self.planned.name, self.timing, self.planned.missed, Template(TASK, QUEUE, self.body))  # type: ignore[arg-type]

    def after(self, instant: int, anchor: int) -> int:
        return self.planned.slots(instant, instant + DAYS, anchor)[0]


class Sight(NamedTuple):
    """What a keeper saw of one that was due."""

    name: Name
    definition: Definition
    next: int
    anchor: int
    paused: bool

    def decide(self, now: int) -> tuple[list[int], int]:
        """The slots that fire, and the next one."""
        planned = self.definition.planned
        slots = planned.slots(self.next - 1, now, self.anchor)
        if planned.missed == "all" and not self.paused:
            return slots[:AT_ONCE], self.definition.after(slots[:AT_ONCE][-1], self.anchor)
        missed = planned.missed == "skip" and now - slots[-1] > LATE
        return [] if self.paused or missed else slots[-1:], self.definition.after(slots[-1], self.anchor)


@dataclass
class Kept:
    definition: Definition
    anchor: int
    next: int
    live: bool = True
    lapsed: int | None = None
    """Since when its app lives without it."""
    paused: bool = False
    slot: int | None = None
    fired: int | None = None
    job: str | None = None


class Timetable:
    def __init__(self) -> None:
        self.seen: list[tuple[str, Definition]] = []
        """Definitions of apps, in the order in which they came."""
        self.crew: dict[int, tuple[str, Sequence[Definition]]] = {}
        self.kept: dict[Name, Kept] = {}
        self.jobs: dict[str, bytes] = {}

    def join(self, worker: int, app: str, definitions: Sequence[Definition], now: int) -> None:
        self.seen += [(app, each) for each in definitions if (app, each) not in self.seen]
        self.crew[worker] = app, definitions
        self.review(now)

    def leave(self, worker: int, now: int) -> None:
        del self.crew[worker]
        self.review(now)

    def review(self, now: int) -> None:
        declared = {(app, each) for app, definitions in self.crew.values() for each in definitions}
        newest = {(app, each.planned.name): each for app, each in self.seen if (app, each) in declared}
        for name, definition in newest.items():
            self._hold(name, definition, now)
        apps = {app for app, _ in self.crew.values()}
        for name, kept in self.kept.items():
            kept.live = name in newest
            if not kept.live and kept.lapsed is None and name[0] in apps:
                kept.lapsed = now

    def _hold(self, name: Name, definition: Definition, now: int) -> None:
        kept = self.kept.get(name)
        if kept is None:
            self.kept[name] = Kept(definition, now, definition.after(now, now))
            return
        away = kept.lapsed is not None and now - kept.lapsed > LAPSE
        if away or kept.definition.timing != definition.timing:
            kept.anchor, kept.next = now, definition.after(now, now)
        kept.definition, kept.live, kept.lapsed = definition, True, None

    # -- slots -------------------------------------------------------------------------------------

    def due(self, now: int) -> list[Sight]:
        """The longest due first."""
        sights = [Sight(name, each.definition, each.next, each.anchor, each.paused) for name, each in self.kept.items() if each.live]
        return sorted((sight for sight in sights if sight.next <= now), key=lambda sight: sight.next)

    def fire(self, sights: Sequence[Sight], now: int) -> list[str]:
        """By what was seen before: only what is still so."""
        return [job for sight in sights for job in self._fire(sight, now)]

    def _fire(self, sight: Sight, now: int) -> list[str]:
        kept = self.kept[sight.name]
        slots, following = sight.decide(now)
        same = kept.live and (kept.definition, kept.next) == (sight.definition, sight.next)
        if not same or (slots and kept.paused):
            return []
        kept.next = following
        names = [f"{sight.name[1]}@{sight.name[0]}:{datetime.fromtimestamp(slot / SECOND, UTC):%Y%m%dT%H%M%S}Z" for slot in slots]
        if slots:
            kept.slot, kept.fired, kept.job = slots[-1], now, names[-1]
        for name in names:
            assert name not in self.jobs, f"{name} fired before"
            self.jobs[name] = sight.definition.body
        return names

    # -- operators ---------------------------------------------------------------------------------

    def run_now(self, name: Name, job: str, now: int) -> None:
        self.jobs[job] = self.kept[name].definition.body
        self.kept[name].fired, self.kept[name].job = now, job

    def resume(self, name: Name, now: int) -> None:
        kept = self.kept[name]
        if kept.paused and kept.next <= now:
            kept.next = kept.definition.after(now, kept.anchor)
        kept.paused = False
