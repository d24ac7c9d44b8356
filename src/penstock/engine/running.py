"""A run under way: which delivery it is at, until when, and why it was told to stop."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from penstock.model.delivery import Delivery

Reason: TypeAlias = Literal["timeout", "cancel", "shutdown", "lost"]
"""Why the engine stopped a handler. Only `timeout` counts as a failed attempt."""


class Flag:
    """The `Cancellation` of one delivery: set by the engine, read by the handler, on any thread."""

    __slots__ = ("_set",)

    def __init__(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True


class Running(Struct, eq=False, gc=False):
    """One run in one task. Made for each message, so it is lean: no `gc`, and `error` is let go of as soon as it was told."""

    run: Sequence[Delivery]
    delivery: Delivery
    started: float = 0.0
    """By the loop's clock, as `deadline`."""
    deadline: float = math.inf
    task: asyncio.Task[None] | None = None
    reason: Reason | None = None
    flag: Flag | None = None
    stoppable: bool = True
    """A coroutine can be cancelled, a child process killed; a thread is only told."""
    waiting: bool = False
    """For a process to run in: it does not run long, whatever `started` says."""
    committing: bool = False
    """Its transaction is being committed: too late to be stopped."""
    error: BaseException | None = None

    def interrupt(self, reason: Reason) -> None:
        """Tell the handler to stop. The first reason stays, and is repeated only when the worker has to stop."""
        if self.committing or (self.reason is not None and reason in ("timeout", "cancel")):
            return
        self.reason = self.reason or reason
        if self.flag is not None:
            self.flag.set()
        if self.stoppable and self.task is not None:
            self.task.cancel()

    def claimed(self, seq: int) -> int:
        """When the message was that it is at; of a batch, that row."""
        return next((row.claimed for row in self.delivery.rows if row.seq == seq), self.delivery.claimed)

    def take_error(self) -> BaseException | None:
        error, self.error = self.error, None
        return error

    def turn_to(self, delivery: Delivery) -> None:
        """The next one of the run: what was said about the last one does not hold for it."""
        if self.reason is not None and self.task is not None:
            self.task.uncancel()
        self.delivery = delivery
        self.deadline = math.inf
        self.reason = self.flag = self.error = None
        self.committing = self.waiting = False
