"""Why a dead letter does not come back."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.model.job import JobFilter
from penstock.ports.store import Store

_SHOWN = 100


async def held_by_another(store: Store, id: str) -> str | None:
    """A dead letter whose unique name went to another job stays where it is."""
    job = await store.inspect.job(id)
    if job is None or job.unique is None or job.unique.holder in (None, id):
        return None
    return f"its unique name {job.unique.name!r} is held by job {job.unique.holder}"


async def held_back(store: Store, where: JobFilter) -> Sequence[tuple[str, str]]:
    """Of those that match still: ids, and why."""
    letters = await store.inspect.letters(where, limit=_SHOWN)
    return [(letter.id, why) for letter in letters if (why := await held_by_another(store, letter.id)) is not None]
