"""Looks at a queue that is being drained, and what they tell of its rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    at: float
    finished: int
    cpu: float | None
    """Seconds that the workers have spent."""
    server: float | None = None
    """Those that what they keep their queue in has spent."""


def lasted(looks: Sequence[Look]) -> float:
    """Seconds since the first look that found a job finished."""
    working = [look.at for look in looks if look.finished]
    return working[-1] - working[0] if working else 0.0


def span(looks: Sequence[Look], depth: int) -> tuple[Look, Look]:
    """From the first look that found a job finished to the last one with work left: in between, the workers had nothing but work.

    One that was done before it was found at work twice is timed from the last look that found nothing finished to the last.
    """
    busy = [look for look in looks if 0 < look.finished < depth]
    if len(busy) > 1 and busy[-1].finished > busy[0].finished:
        return busy[0], busy[-1]
    return [look for look in looks if not look.finished][-1], looks[-1]
