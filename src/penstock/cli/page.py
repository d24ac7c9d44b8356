"""One job on a page: what it is, where it is, what happened to it, what can be done."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import click

from penstock.cli.words import length, moment, near, relative, value
from penstock.model.clock import SECOND
from penstock.model.job import Attempt, DeadLetterView, JobView, UniqueView
from penstock.model.outcome import Failure

_LABEL = 12


def job_page(job: JobView, letter: DeadLetterView | None, tasks: set[str], paused: bool, now: int) -> str:
    sections = [
        list(_identity(job, letter, tasks, paused, now)),
        list(_times(job, now)),
        list(_ties(job)),
        list(_values("arguments", job.body)),
        list(_values("headers", job.headers)),
        list(_result(job)),
        list(_history(job.history, now)),
        list(_last_trace(job.history, letter)),
        list(_next_steps(job)),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _identity(job: JobView, letter: DeadLetterView | None, tasks: set[str], paused: bool, now: int) -> Iterator[str]:
    yield click.style(f"job {job.id}", bold=True)
    yield _line("task", job.task)
    yield _line("queue", f"{job.queue}, priority {job.priority}" + (f", key {job.key}" if job.key else ""))
    yield _line("status", click.style(job.status, bold=True) + _more(job, letter, now))
    if job.cancel_requested:
        yield _line("", "its cancellation was requested")
    if paused and job.ended is None:
        yield _line("", f"its queue is paused: penstock queues resume {job.queue}")
    if job.status == "unroutable":
        yield _line("", unroutable(job.task, tasks))


def _more(job: JobView, letter: DeadLetterView | None, now: int) -> str:
    match job.status:
        case "delayed" | "retrying" if job.due is not None:
            return f", runs {relative(job.due, now)}" if job.due > now else ", is due"
        case "running":
            return f", attempt {job.attempt}, on {job.worker}"
        case "dead" if letter is not None:
            return f": {letter.reason}"
        case _:
            return ""


def unroutable(task: str, tasks: set[str]) -> str:
    if not tasks:
        return "no worker is alive that could run it"
    close = near(task, tasks)
    return f"no live worker knows {task}" + (f"; near: {', '.join(close)}" if close else "")


def _times(job: JobView, now: int) -> Iterator[str]:
    named = (("enqueued", job.enqueued), ("due", job.due), ("expires", job.expires), ("started", job.started), ("ended", job.ended))
    for name, at in named:
        if at is not None:
            yield _line(name, moment(at, now))
    if job.started is not None and job.ended is None:
        yield _line("running for", length((now - job.started) / SECOND))
    counted = f"{job.attempt}" + (f", and {job.deaths} workers died under it" if job.deaths else "")
    yield _line("attempts", counted)
    if job.progress is not None:
        note = f", {job.progress.note}" if job.progress.note else ""
        yield _line("progress", f"{job.progress.fraction:.0%}{note} ({relative(job.progress.told, now)})")


def _ties(job: JobView) -> Iterator[str]:
    """What other jobs have to do with it."""
    if job.unique is not None:
        yield _line("unique", f"{job.unique.name}, until {job.unique.until}, {_holder(job.unique, job.id)}")
    if job.previous is not None:
        yield _line("previous", job.previous)
    if job.next is not None:
        yield _line("next", job.next + ("" if job.status == "done" else ", when this one is done"))


def _holder(unique: UniqueView, job: str) -> str:
    if unique.holder is None:
        return "free now"
    return "held by this job" if unique.holder == job else f"held by job {unique.holder}"


def _values(title: str, body: bytes | None) -> Iterator[str]:
    found = value(body)
    if not found:
        return
    yield click.style(title, bold=True)
    if isinstance(found, dict):
        width = max(len(name) for name in found)
        for name, one in found.items():
            yield from _indented(f"{name.ljust(width)}  {json.dumps(one, indent=2, ensure_ascii=False)}")
    else:
        yield from _indented(json.dumps(found, indent=2, ensure_ascii=False))


def _result(job: JobView) -> Iterator[str]:
    if job.unavailable is not None:
        yield click.style("result", bold=True)
        yield f"  not kept: {job.unavailable}"
    elif job.result is not None:
        yield click.style("result", bold=True)
        yield from _indented(json.dumps(value(job.result), indent=2, ensure_ascii=False))


def _history(history: Sequence[Attempt], now: int) -> Iterator[str]:
    if history:
        yield click.style("history", bold=True)
    for each in history:
        number = f"{each.number:>3}" if each.number else "   "
        by = f"  {each.worker}" if each.worker else ""
        yield f"{number}  {each.what:<9} {moment(each.at, now)}{by}"
        if each.error is not None:
            yield from _indented(_sentence(each.error), "       ")


def _last_trace(history: Sequence[Attempt], letter: DeadLetterView | None) -> Iterator[str]:
    errors = [each.error for each in history if each.error is not None and each.error.traceback]
    if letter is not None and letter.error is not None and letter.error.traceback:
        errors.append(letter.error)
    if errors:
        yield click.style("last error", bold=True)
        yield from _indented(errors[-1].traceback.rstrip())


def _next_steps(job: JobView) -> Iterator[str]:
    match job.status:
        case "dead":
            yield f"run it again: penstock dead replay {job.id}"
            yield f"give it up:   penstock dead discard {job.id}"
        case "waiting" | "delayed" | "retrying" | "running" | "unroutable":
            yield f"stop it: penstock jobs cancel {job.id}"


def _sentence(error: Failure) -> str:
    return f"{error.type}: {error.message}" if error.message else error.type


def _line(label: str, text: str) -> str:
    return f"  {label.ljust(_LABEL)}{text}"


def _indented(text: str, margin: str = "  ") -> Iterator[str]:
    return (margin + line for line in text.splitlines())
