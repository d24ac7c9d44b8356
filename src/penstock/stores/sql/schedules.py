"""The calendar: which definition holds, and firing.

Of a schedule's definitions the store keeps the order in which it first saw them: the one with the highest generation among those
that live workers declare holds. So of two releases side by side the newer one wins, whichever started last; when its last worker
has left, the older one holds again (a rollback), and a newer one that comes back wins at once.

A schedule that nobody declares does not fire. If no worker of its app lives, that is downtime: its next slot stays, and `missed`
decides once a worker is up. If others of its app live, it was removed from the code; what comes back after `LAPSE` begins anew.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from penstock.errors import ConfigurationError, NotFound
from penstock.model.clock import SECOND
from penstock.model.message import Message
from penstock.model.schedule import Due, Firing, Identity, Schedule, ScheduleView, digest, label
from penstock.model.statement import Program, Row, Statement
from penstock.ports.schedules import Look
from penstock.stores.sql.dialect import Dialect, Put

LAPSE = 600 * SECOND
"""A crash of the only worker of a newer release is not a removal."""
_KEPT = 20
"""Releases of an app whose definitions are remembered."""

_schedules = msgspec.json.Decoder(Schedule)


def declare(incarnation: int, app: str, schedules: Sequence[Schedule], now: int, dialect: Dialect) -> Program[None]:
    yield from dialect.alone("calendar")
    said = {schedule.name: schedule.encoded() for schedule in schedules}
    known = yield Statement("definitions_of", {"app": app})
    seen = {(name, found) for name, found, _ in known}
    generation = 1 + max((row[2] for row in known), default=0)
    fresh: list[object] = []
    declared: list[object] = []
    for name, definition in said.items():
        own = digest(definition)
        declared += (incarnation, app, name, own)
        if (name, own) not in seen:
            fresh += (app, name, own, generation, definition)
    yield Statement("declare_schedules", values=declared, width=4)
    if fresh:
        yield Statement("keep_definitions", values=fresh, width=5)
        yield Statement("forget_definitions", {"app": app, "oldest": generation - _KEPT})
    yield from review(now, dialect)


def review(now: int, dialect: Dialect) -> Program[None]:
    yield from dialect.alone("calendar")
    yield Statement("drop_declarations")
    rows = yield Statement("changed_schedules")
    values = [value for row in rows for value in _renewed(row, now)]
    if values:
        yield Statement("set_schedules", values=values, width=7)
    yield Statement("end_schedules")
    yield Statement("lapse_schedules", {"now": now})


def _renewed(row: Row, now: int) -> tuple[object, ...]:
    """Goes on with its slots, unless they are others now, or it was away."""
    app, name, own, definition, before, following, anchor, lapsed = row
    timing = _schedules.decode(definition).timing
    away = lapsed is not None and now - lapsed > LAPSE
    if before is None or away or _schedules.decode(before).timing != timing:
        try:
            anchor, following = now, timing.after(now, now)
        except ValueError:  # a zone that this machine does not know: it stays as it is until a worker that knows it declares it
            return ()
    return app, name, own, definition, anchor, following, True


def look(without: Collection[Identity] = ()) -> Program[Look]:
    following = yield Statement("next_slot", {"without": _json(without)})
    crew = yield Statement("crew")
    found = yield Statement("any_schedule")
    return Look(following[0][0] if following else None, tuple(row[0] for row in crew), bool(found))


def due(now: int, limit: int, without: Collection[Identity] = ()) -> Program[list[Due]]:
    rows = yield Statement("due_schedules", {"now": now, "limit": limit, "without": _json(without)})
    return [
        Due(app, _schedules.decode(definition), own, following, anchor, bool(paused))
        for app, definition, own, following, anchor, paused in rows
    ]


def _json(identities: Collection[Identity]) -> str:
    return msgspec.json.encode(list(identities)).decode()


def fire(firings: Sequence[Firing], now: int, put: Put) -> Program[list[str]]:
    """Only what was still as it was seen when it moved."""
    messages: list[Message] = []
    for firing in firings:
        if (yield _move(firing, now)):
            messages += firing.messages
    placed = (yield from put(messages, now)) if messages else []
    return [one.id for one in placed if one.created]


def _move(firing: Firing, now: int) -> Statement:
    due, fires = firing.due, firing.messages
    name = due.schedule.name
    identity = {"app": due.app, "name": name, "digest": due.digest, "seen": due.next, "scope": scope(due.app, name)}
    moved = {"next": firing.next, "slot": firing.slot, "fired": now if fires else None, "job": fires[-1].id if fires else None}
    return Statement("move_schedule", {**identity, **moved})


def views() -> Program[list[ScheduleView]]:
    rows = yield Statement("schedules")
    return [
        ScheduleView(app, _schedules.decode(definition), bool(paused), bool(live), bool(lapsed) and not live, following, slot, fired, job)
        for app, definition, live, lapsed, following, slot, fired, job, paused in rows
    ]


def run_now(app: str, name: str, job_id: str, now: int, put: Put) -> Program[None]:
    definition, *_ = yield from _known(app, name)
    headers = {"penstock-schedule": label(app, name)}
    yield from put([_schedules.decode(definition).template.message(job_id, now, headers)], now)
    yield Statement("ran_schedule", {"app": app, "name": name, "now": now, "job": job_id})


def pause(app: str, name: str, by: str, now: int) -> Program[None]:
    yield from _known(app, name)
    yield Statement("set_setting", {"scope": scope(app, name), "name": "paused", "value": "true", "by": by, "at": now})


def resume(app: str, name: str, now: int) -> Program[None]:
    definition, following, anchor = yield from _known(app, name)
    removed = yield Statement("unpause_schedule", {"scope": scope(app, name)})
    if removed and following is not None and following <= now:
        try:
            later = _schedules.decode(definition).timing.after(now, anchor)
        except ValueError as error:
            raise ConfigurationError(f"resume {label(app, name)}: {error}") from None
        yield Statement("set_next_slot", {"app": app, "name": name, "next": later})


def scope(app: str, name: str) -> str:
    """Of its settings."""
    return f"schedule:{label(app, name)}"


def _known(app: str, name: str) -> Program[Row]:
    rows = yield Statement("schedule", {"app": app, "name": name})
    if not rows:
        raise NotFound(f"no schedule is called {label(app, name)}")
    return rows[0]
