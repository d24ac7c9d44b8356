"""`penstock schedules`: list, show, run now, pause, resume."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import click

from penstock.cli.finding import Place, in_store
from penstock.cli.groups import Commands
from penstock.cli.operator import who
from penstock.cli.tables import Column, note, show_json, show_table
from penstock.cli.words import iso, length, moment, not_called, relative, utc, value
from penstock.errors import NotFound
from penstock.model.clock import SECOND
from penstock.model.ids import IdSource
from penstock.model.job import Status
from penstock.model.schedule import ScheduleView, Timing, label
from penstock.ports.store import Store


@click.group(cls=Commands)
def schedules() -> None:
    """List, show, run, pause and resume schedules."""


@schedules.command("ls")
@in_store
def ls(place: Place) -> None:
    """When each comes next, and when it came last."""

    async def look(store: Store) -> tuple[Sequence[ScheduleView], int]:
        return await store.schedules.views(), store.clock.now()

    found, now = place.run(look)
    if place.as_json:
        show_json({"schedules": [_facts(view) for view in found]})
    elif found:
        _table(found, now)
    else:
        note("no schedules yet: a worker whose app has some brings them")


def _table(found: Sequence[ScheduleView], now: int) -> None:
    show_table(
        [
            Column("SCHEDULE", [label(view.app, view.schedule.name) for view in found], shrinks=True),
            Column("STATE", [_state(view) for view in found]),
            Column("WHEN", [_when(view.schedule.timing) for view in found]),
            Column("ZONE", [_zone(view.schedule.timing) or "" for view in found], drop=2),
            Column("MISSED", [view.schedule.missed for view in found], drop=4),
            Column("NEXT", [relative(_next(view), now) for view in found], right=True),
            Column("LAST", [relative(view.fired, now) for view in found], right=True),
            Column("NEXT UTC", [utc(_next(view)) for view in found], drop=3),
            Column("TASK", [view.schedule.template.task for view in found], drop=1, shrinks=True),
        ]
    )


def _state(view: ScheduleView) -> str:
    if view.removed:
        return "removed"
    if not view.live:
        return "no worker"
    return "paused" if view.paused else "active"


def _when(timing: Timing) -> str:
    return timing.cron or f"every {length(timing.every / SECOND)}"


def _zone(timing: Timing) -> str | None:
    return timing.tz if timing.cron else None


def _next(view: ScheduleView) -> int | None:
    """What is paused or removed does not come."""
    return None if view.paused or view.removed else view.next


def _facts(view: ScheduleView) -> dict[str, object]:
    schedule, template = view.schedule, view.schedule.template
    return {
        "name": schedule.name,
        "app": view.app,
        "state": _state(view),
        "paused": view.paused,
        "cron": schedule.timing.cron or None,
        "every_seconds": schedule.timing.every / SECOND if schedule.timing.every else None,
        "zone": _zone(schedule.timing),
        "missed": schedule.missed,
        "next": iso(_next(view)),
        "last_slot": iso(view.slot),
        "last_run": iso(view.fired),
        "last_job": view.job,
        "task": template.task,
        "queue": template.queue,
        "key": template.key,
        "arguments": value(template.body),
    }


_named = click.argument("schedule", metavar="NAME")


@schedules.command("show")
@_named
@in_store
def show(place: Place, schedule: str) -> None:
    """All that is known of one: NAME, or NAME@APP where several apps have it."""

    async def look(store: Store) -> tuple[ScheduleView, Status | None, int]:
        view = await _find(store, schedule)
        job = None if view.job is None else await store.inspect.job(view.job)
        return view, None if job is None else job.status, store.clock.now()

    view, status, now = place.run(look)
    if place.as_json:
        show_json({**_facts(view), "last_job_status": status})
    else:
        _page(view, status, now)


def _page(view: ScheduleView, status: Status | None, now: int) -> None:
    facts, following = _facts(view), _next(view)
    job = None if view.job is None else f"{view.job} ({status or 'forgotten: its history is over'})"
    lines = {
        "schedule": f"{label(view.app, view.schedule.name)} ({facts['state']})",
        "when": " in ".join(filter(None, (_when(view.schedule.timing), _zone(view.schedule.timing)))),
        "missed": view.schedule.missed,
        "next": None if following is None else moment(following, now),
        "last slot": None if view.slot is None else moment(view.slot, now),
        "last run": None if view.fired is None else moment(view.fired, now),
        "last job": job,
        "task": facts["task"],
        "queue": facts["queue"],
        "key": facts["key"],
        "arguments": view.schedule.template.body.decode(errors="replace"),
    }
    for name, text in lines.items():
        if text is not None:
            click.echo(f"{name:<11}{text}")


@schedules.command("run-now")
@_named
@in_store
def run_now(place: Place, schedule: str) -> None:
    """Enqueue the job of NAME once, now. Its slots stay as they are; a paused one runs, too."""

    async def run(store: Store, view: ScheduleView) -> str:
        job_id = IdSource(lambda: store.clock.now() // 1000).next()
        await store.schedules.run_now(view.app, view.schedule.name, job_id)
        return job_id

    name, job_id = _change(place, schedule, run)
    if place.as_json:
        show_json({"schedule": name, "job": job_id})
    else:
        click.echo(job_id)


@schedules.command("pause")
@_named
@in_store
def pause(place: Place, schedule: str) -> None:
    """Put no more jobs of NAME; its slots pass. Holds whatever the code says, until it is resumed."""

    async def work(store: Store, view: ScheduleView) -> None:
        await store.schedules.pause(view.app, view.schedule.name, who())

    name, _ = _change(place, schedule, work)
    _done(place, name, paused=True)


@schedules.command("resume")
@_named
@in_store
def resume(place: Place, schedule: str) -> None:
    """Go on with the next slot of NAME. Those that passed meanwhile are not made up for."""

    async def work(store: Store, view: ScheduleView) -> None:
        await store.schedules.resume(view.app, view.schedule.name)

    name, _ = _change(place, schedule, work)
    _done(place, name, paused=False)


def _change(place: Place, schedule: str, work: Callable[[Store, ScheduleView], Awaitable[str | None]]) -> tuple[str, str | None]:
    async def change(store: Store) -> tuple[str, str | None]:
        view = await _find(store, schedule)
        return label(view.app, view.schedule.name), await work(store, view)

    return place.run(change)


def _done(place: Place, name: str, *, paused: bool) -> None:
    if place.as_json:
        show_json({"schedule": name, "paused": paused})
    else:
        click.echo(f"schedule {name}: {'paused' if paused else 'resumed'}")


async def _find(store: Store, name: str) -> ScheduleView:
    """By its name, with its app's after an @ if there are several. Raises NotFound."""
    views = {label(view.app, view.schedule.name): view for view in await store.schedules.views()}
    found = [view for whole, view in views.items() if name in (whole, view.schedule.name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise NotFound(f"several apps have a schedule {name!r}: {', '.join(label(view.app, name) for view in found)}")
    raise NotFound(not_called("schedule", name, (view.schedule.name for view in views.values())))
