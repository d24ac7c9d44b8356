"""A dead letter as hooks see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from penstock.api.link import Link
from penstock.model.clock import to_datetime
from penstock.model.job import DeadLetterView
from penstock.model.message import decode_headers


class DeadLetter:
    """A job that ended: it failed too often, was rejected, could not be decoded, or killed its workers.

    It is kept, with its body and whole history, until somebody replays or discards it.

        @send_welcome_email.on_dead
        async def tell_support(letter: DeadLetter) -> None:
            await page(f"{letter.task} {letter.job_id}: {letter.reason}: {letter.error}")
    """

    __slots__ = ("_decode", "_link", "_view")

    def __init__(self, view: DeadLetterView, link: Link, decode: Callable[[DeadLetterView], Mapping[str, Any]]) -> None:
        self._view = view
        self._link = link
        self._decode = decode

    @property
    def job_id(self) -> str:
        return self._view.id

    @property
    def task(self) -> str:
        return self._view.task

    @property
    def queue(self) -> str:
        return self._view.queue

    @property
    def key(self) -> str | None:
        return self._view.key

    @property
    def reason(self) -> str:
        """Why it ended, in a few words."""
        return self._view.reason

    @property
    def error(self) -> str | None:
        """The last error: type and text."""
        failure = self._view.error
        return None if failure is None else f"{failure.type}: {failure.message}"

    @property
    def traceback(self) -> str:
        """Of the last error; empty without one."""
        return "" if self._view.error is None else self._view.error.traceback

    @property
    def attempts(self) -> int:
        """Runs that were counted."""
        return self._view.attempts

    @property
    def died_at(self) -> datetime:
        return to_datetime(self._view.died)

    @property
    def headers(self) -> Mapping[str, str]:
        return decode_headers(self._view.headers)

    @property
    def body(self) -> bytes:
        """The arguments, or the event, as they were stored."""
        return self._view.body

    @property
    def arguments(self) -> Mapping[str, Any]:
        """By name; what the caller left out is not there. Of a subscription: the event, by its parameter's name.

        Raises UndecodablePayload.
        """
        return self._decode(self._view)

    async def replay(self) -> bool:
        """Back to its queue, at the end of its key, attempts 0. False: it was replayed or discarded before."""
        moved = await self._link.run(lambda store: store.queue.replay([self.job_id]))
        return bool(moved)
