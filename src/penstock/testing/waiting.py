"""Looking for jobs that wait, by their task and arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from penstock.api.definition import Handled
from penstock.api.letter import DeadLetter
from penstock.api.link import Link
from penstock.api.task import Task
from penstock.app import App
from penstock.errors import ConfigurationError, UndecodablePayload, UnknownArgument
from penstock.model.clock import to_datetime
from penstock.model.delivery import Delivery
from penstock.model.job import DeadLetterView, JobFilter, JobView, Status
from penstock.model.message import decode_headers
from penstock.ports.store import Store

_STATES: Sequence[Status] = ("waiting", "unroutable", "delayed", "retrying")
_ALL = 1 << 31
_SHOWN = 20


class Enqueued(Struct, frozen=True):
    """A job that waits to run."""

    id: str
    task: str
    arguments: Mapping[str, Any]
    """By name, decoded, with the defaults of what the caller left out."""
    queue: str
    key: str | None
    priority: int
    due: datetime | None
    """Of a delay or a retry."""
    attempt: int
    """Runs so far."""
    headers: Mapping[str, str]

    def __str__(self) -> str:
        listed = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        due = "" if self.due is None else f", due {self.due:%Y-%m-%d %H:%M:%S}"
        return f"{self.task}({listed}){due}"


class Waiting:
    """The jobs of one app that wait in its store."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def find(self, store: Store, task: Task[..., Any] | None, arguments: Mapping[str, Any]) -> list[Enqueued]:
        """In the order of enqueueing. Raises TypeError for an argument that the task does not take."""
        if task is not None:
            self._refuse_unknown(task, arguments)
        found = await self.all(store)
        return [job for job in found if task is None or (job.task == task.name and matches(job, arguments))]

    async def all(self, store: Store) -> list[Enqueued]:
        views = [view for status in _STATES for view in (await store.inspect.jobs(JobFilter(status=status), limit=_ALL, depth=_ALL)).jobs]
        return [self._enqueued(view) for view in sorted(views, key=lambda view: view.seq)]

    async def dead(self, store: Store, link: Link, task: Task[..., Any] | None) -> list[DeadLetter]:
        """The oldest first, with their histories."""
        letters = await store.inspect.letters(JobFilter(task=None if task is None else task.name), limit=_ALL)
        full = [await store.inspect.letter(letter.id) for letter in letters]
        return [DeadLetter(view, link, self._arguments) for view in full if view is not None]

    def _arguments(self, view: DeadLetterView) -> Mapping[str, Any]:
        definition = self._definition(view.task)
        return {"body": view.body} if definition is None else definition.coding.named(definition.coding.decode(delivery_of(view)))

    def _enqueued(self, view: JobView) -> Enqueued:
        task, arguments = self._decoded(view)
        due = None if view.due is None else to_datetime(view.due)
        headers = decode_headers(view.headers)
        return Enqueued(view.id, task, arguments, view.queue, view.key, view.priority, due, view.attempt, headers)

    def _decoded(self, view: JobView) -> tuple[str, Mapping[str, Any]]:
        """What this app cannot decode is shown as it is stored."""
        definition = self._definition(view.task)
        if definition is None:
            return view.task, {"body": view.body}
        try:
            given = definition.coding.named(definition.coding.decode(delivery_of(view)))
        except (UndecodablePayload, UnknownArgument):
            given = {"body": view.body}
        return definition.wire, {**_defaults(definition), **given}

    def _definition(self, task: str) -> Handled | None:
        for definition in self._app.definitions().values():
            if task == definition.wire or task in map(definition.attached.wire, definition.aliases):
                return definition
        return None

    def _refuse_unknown(self, task: Task[..., Any], arguments: Iterable[str]) -> None:
        definition = self._definition(task.name)
        if definition is None:
            raise ConfigurationError(f"{task.name} is not a task of app {self._app.name!r}, whose kit was asked for it")
        known = [parameter.name for parameter in definition.signature.parameters]
        for name in arguments:
            if name not in known:
                raise TypeError(f"{task.name} has no argument {name!r}; it has {', '.join(known) or 'none'}")


def _defaults(definition: Handled) -> dict[str, Any]:
    carried = definition.signature.parameters
    return {parameter.name: parameter.default for parameter in carried if parameter.default is not parameter.empty}


def delivery_of(view: JobView | DeadLetterView) -> Delivery:
    """What a worker would be given to decode."""
    return Delivery(0, view.id, view.queue, view.task, 1, view.body, view.key, view.headers, type=view.type)


def matches(job: Enqueued, arguments: Mapping[str, Any]) -> bool:
    return all(name in job.arguments and job.arguments[name] == value for name, value in arguments.items())


def listed(jobs: Sequence[Enqueued]) -> str:
    """A line for each, for a failing test."""
    return "".join(f"\n  {job}" for job in jobs[:_SHOWN]) + (f"\n  … and {len(jobs) - _SHOWN} more" if len(jobs) > _SHOWN else "")


def described(task: Task[..., Any], arguments: Mapping[str, Any]) -> str:
    return f"{task.name}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"
