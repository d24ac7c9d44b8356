"""Why a dead letter does not come back."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.ports.store import Store


async def held_by_another(store: Store, id: str) -> str | None:
    """A dead letter whose unique name went to another job stays where it is."""
    job = await store.inspect.job(id)
    if job is None or job.unique is None or job.unique.holder in (None, id):
        return None
    return f"its unique name {job.unique.name!r} is held by job {job.unique.holder}"


async def held_back(store: Store, ids: Sequence[str]) -> Sequence[tuple[str, str]]:
    """Of these dead letters: ids, and why."""
    return [(id, why) for id in ids if (why := await held_by_another(store, id)) is not None]
