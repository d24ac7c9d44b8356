"""A message that a worker holds, and what is settled about it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from penstock.model.message import decode_headers
from penstock.model.outcome import Outcome

EVER = (1 << 63) - 1


class Delivery(Struct, frozen=True, gc=False):
    """One leased message. Middleware reads `task`, `queue`, `key`, `attempt`, `job_id` and `headers`."""

    seq: int
    """Its place in the store: of two transactions that did not overlap the later has the higher ones."""
    job_id: str
    queue: str
    task: str
    attempt: int
    """From 1; deploys, releases and snoozes are not counted."""
    body: bytes
    key: str | None = None
    raw_headers: bytes | None = None
    options: bytes | None = None
    enqueued: int = 0
    """µs."""
    deaths: int = 0
    """Workers that died under it."""
    expires: int | None = None
    """µs: not begun after that."""
    type: str | None = None
    """Of the event, in a subscription's delivery."""
    limited: bool = False
    """Its queue runs only so many at once: its end lets another one start."""
    admitted: bool = False
    """Its queue had limits when it was claimed, and they let it start."""
    claimed: int = EVER
    """µs. Part of the fence: of two claims of one message by one worker the later has the higher one, and its end is not the first one's
    affair. A store may undo a claim, or forget to answer, and give the message, or another one in its place, to the same worker again."""
    rows: tuple[Delivery, ...] = ()
    """Of a batch: all of its messages, itself the first; everything else is said of that one."""

    @property
    def headers(self) -> Mapping[str, str]:
        return decode_headers(self.raw_headers)

    @property
    def suspect(self) -> bool:
        """Two workers died under it: it runs alone."""
        return self.deaths >= SUSPECT_DEATHS


SUSPECT_DEATHS = 2
FATAL_DEATHS = 3
MOST_FAILURES = (1 << 31) - 2
"""With one more they can be stored. Nobody fails so often: somebody else wrote that."""


class Settlement(Struct, frozen=True, gc=False):
    """What one delivery came to; written in one fenced transaction."""

    delivery: Delivery
    outcome: Outcome
