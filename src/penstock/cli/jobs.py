"""`penstock jobs`: list, show, retry, cancel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import click

from penstock.cli import exits
from penstock.cli.bundle import bundled
from penstock.cli.facts import ended_facts, job_facts
from penstock.cli.filters import hint_unknown, known_tasks
from penstock.cli.finding import Place, in_store
from penstock.cli.groups import Commands
from penstock.cli.page import job_page, unroutable
from penstock.cli.refused import held_by_another
from penstock.cli.tables import Column, note, show_json, show_table
from penstock.cli.words import count, relative, utc
from penstock.errors import NotFound
from penstock.model.job import Cancelled, JobFilter, JobList, JobView, Status
from penstock.ports.inspect import DEPTH
from penstock.ports.store import Store

_STATUSES = get_args(Status)


@click.group(cls=Commands)
def jobs() -> None:
    """List, show, retry and cancel jobs."""


def _filter(status: Status | None, queue: str | None, task: str | None, key: str | None, contains: str | None) -> JobFilter:
    return JobFilter(status=status, queue=queue, task=task, key=key, contains=contains)


_filtered = bundled(
    "where",
    _filter,
    click.option("--status", type=click.Choice(_STATUSES), help="Where the job is."),
    click.option("--queue"),
    click.option("--task", help="The whole name, e.g. shop.mail.send."),
    click.option("--key"),
    click.option("--contains", metavar="TEXT", help="In the encoded arguments."),
)


@jobs.command("ls")
@_filtered
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--depth", type=click.IntRange(1), default=DEPTH, show_default=True, help="How many jobs to look at for those that match.")
@in_store
def ls(place: Place, where: JobFilter, limit: int, depth: int) -> None:
    """The newest first."""

    async def look(store: Store) -> tuple[JobList, set[str], int]:
        listed = await store.inspect.jobs(where, limit=limit, depth=depth)
        if not listed.jobs:
            await hint_unknown(store, where)
        return listed, await known_tasks(store), store.clock.now()

    listed, tasks, now = place.run(look)
    if place.as_json:
        show_json({"jobs": [job_facts(job) for job in listed.jobs], "limit": limit, "looked_at": listed.looked})
        return
    _table(listed.jobs, now)
    lost = {job.task for job in listed.jobs if job.status == "unroutable"}
    for task in sorted(lost):
        note(f"unroutable: {unroutable(task, tasks)}")
    if len(listed.jobs) == limit:
        note(f"the newest {limit} are shown; narrow it down, or raise --limit")
    if listed.looked is not None:
        note(_ended_at(listed.looked, where.status))


def _ended_at(looked: int, status: Status | None) -> str:
    which = "due soonest" if status in ("delayed", "retrying") else "the newest"
    advice = "raise --depth" if status else "give a --status, or raise --depth"
    return f"looked at {count(looked, f'{status} job' if status else 'job')}, {which}; others may match: {advice}"


def _table(found: Sequence[JobView], now: int) -> None:
    if not found:
        note("no jobs")
        return
    show_table(
        [
            Column("ID", [job.id for job in found]),
            Column("STATUS", [job.status for job in found]),
            Column("TASK", [job.task for job in found], shrinks=True),
            Column("QUEUE", [job.queue for job in found], drop=2),
            Column("KEY", [job.key or "" for job in found], drop=3),
            Column("TRY", [str(job.attempt) for job in found], right=True, drop=1),
            Column("WHEN", [relative(_when(job), now) for job in found], right=True),
            Column("UTC", [utc(_when(job)) for job in found], drop=4),
        ]
    )


def _when(job: JobView) -> int:
    """Of what its status says: the end, the start, the time it is due, else the enqueue."""
    return job.ended or job.started or job.due or job.enqueued


@jobs.command("show")
@click.argument("id")
@in_store
def show(place: Place, id: str) -> None:
    """All that is known of one job: arguments, times, what happened to it."""
    show_job(place, id)


def show_job(place: Place, id: str) -> None:
    async def look(store: Store) -> tuple[JobView | None, str, dict[str, object]]:
        job = await store.inspect.job(id)
        if job is None:
            return None, "", {}
        letter = await store.inspect.letter(id)
        paused = job.queue in (await store.settings.rules()).paused
        page = job_page(job, letter, await known_tasks(store), paused, store.clock.now())
        return job, page, {**job_facts(job), "dead_because": None if letter is None else letter.reason, **ended_facts(job)}

    job, page, facts = place.run(look)
    if job is None:
        raise NotFound(f"no job {id} in this store; ended jobs are kept for 24 hours")
    if place.as_json:
        show_json(facts)
    else:
        click.echo(page)


@jobs.command("retry")
@click.argument("ids", nargs=-1, required=True)
@in_store
def retry(place: Place, ids: tuple[str, ...]) -> None:
    """Run jobs again, under the same ids: dead ones at the end of their keys with all attempts before them; what is delayed or
    waits for a retry at once, in its place."""
    _each(place, ids, _retry)


async def _retry(store: Store, id: str) -> _Told:
    job = await store.inspect.job(id)
    match job.status if job is not None else None:
        case None:
            return _Told(id, "no such job", ok=False)
        case "dead" | "delayed" | "retrying":
            if await store.queue.replay([id]):
                return _Told(id, "retried", ok=True)
            return _Told(id, await held_by_another(store, id) or "somebody else moved it meanwhile", ok=False)
        case status:
            return _Told(id, f"{status}: only what is dead, delayed or waits for a retry can be run again", ok=False)


@jobs.command("cancel")
@click.argument("ids", nargs=-1, required=True)
@in_store
def cancel(place: Place, ids: tuple[str, ...]) -> None:
    """Waiting jobs will never run; running ones are told to stop (a thread goes on until it looks)."""
    _each(place, ids, _cancel)


async def _cancel(store: Store, id: str) -> _Told:
    try:
        answer = await store.queue.cancel(id)
    except NotFound:
        return _Told(id, "no such job", ok=False)
    return _Told(id, _CANCELLED[answer], ok=answer != "ended")


_CANCELLED: Mapping[Cancelled, str] = {
    "cancelled": "cancelled",
    "requested": "running: its cancellation is requested",
    "ended": "it had ended already",
}


@dataclass(frozen=True)
class _Told:
    id: str
    outcome: str
    ok: bool


def _each(place: Place, ids: Sequence[str], verb: Callable[[Store, str], Awaitable[_Told]]) -> None:
    """Exits 1 unless it worked for all of them."""

    async def work(store: Store) -> list[_Told]:
        return [await verb(store, id) for id in ids]

    told = place.run(work)
    if place.as_json:
        show_json({"jobs": [{"id": one.id, "ok": one.ok, "outcome": one.outcome} for one in told]})
    for one in told if not place.as_json else ():
        click.echo(f"{one.id}  {one.outcome}")
    if not all(one.ok for one in told):
        raise click.exceptions.Exit(exits.FAILED)
